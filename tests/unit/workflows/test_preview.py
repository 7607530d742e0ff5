"""The report of a preview: the summary comes first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workflows.conftest import World

TYPES = {
    "Container": "docker:index/container:Container",
    "Volume": "docker:index/volume:Volume",
    "RemoteImage": "docker:index/remoteImage:RemoteImage",
}
SUCCEEDED = {"summaryEvent": {"resourceChanges": {}, "result": "succeeded"}}


def step(op: str, kind: str, name: str, *because: str) -> dict[str, Any]:
    """An event of the log, for a resource of a component."""
    urn = f"urn:pulumi:prod::llm-stack::llm-stack:index:ServiceStack${TYPES[kind]}::{name}"
    metadata = {"op": op, "urn": urn, "type": TYPES[kind], "diffs": list(because) or None}
    return {"resourcePreEvent": {"metadata": metadata, "planning": True}}


def violation(level: str = "mandatory") -> dict[str, Any]:
    return {
        "policyEvent": {
            "policyName": "no-host-port",
            "message": "No port is open on a host\nmonitor opens port 8090 on the host.\n",
            "enforcementLevel": level,
        }
    }


Previewer = Callable[..., str]


@pytest.fixture
def preview(world: World, tmp_path: Path) -> Previewer:
    """Runs the script with these logged events and returns its report."""

    def run(
        *events: dict[str, Any], stdout: str = "all of it", stderr: str = "", code: int = 0
    ) -> str:
        log = "".join(json.dumps({"sequence": n, **e}) + "\n" for n, e in enumerate(events))
        folder = tmp_path / "preview"
        world.fake("pulumi")
        world.answer(
            "preview", stdout=stdout, stderr=stderr, code=code, writes={"--event-log": log}
        )
        summary = tmp_path / "summary.md"
        ended = world.run(
            *("preview/preview", "prod", str(folder), "--refresh"),
            check=False,
            GITHUB_STEP_SUMMARY=str(summary),
        )
        assert ended.returncode == code, "the exit code is pulumi's"
        report = (folder / "report.md").read_text()
        assert summary.read_text() == report, "for forks, which get no comment"
        return report

    return run


def test_preview_uses_the_policy_pack(preview: Previewer, world: World) -> None:
    preview(SUCCEEDED)
    (asked,) = world.calls("pulumi")
    assert asked[:4] == ["pulumi", "preview", "--stack", "prod"]
    assert asked[asked.index("--policy-pack") + 1] == "policy"
    assert asked[-1] == "--refresh"
    assert "--show-secrets" not in asked


def test_preview_without_changes(preview: Previewer) -> None:
    report = preview(step("same", "Container", "monitor"), SUCCEEDED)
    assert report.splitlines()[:4] == [
        "<!-- llm-stack preview of prod -->",
        "### Preview of `prod`",
        "",
        "- No changes.",
    ]


def test_replacements_with_and_without_interruption_are_separate(preview: Previewer) -> None:
    report = preview(
        step("create-replacement", "Container", "phi-inference", "image"),
        step("replace", "Container", "phi-inference", "image"),
        step("delete-replaced", "Container", "phi-inference", "image"),
        step("delete-replaced", "Container", "chat-interface", "envs"),
        step("replace", "Container", "chat-interface", "envs"),
        step("create-replacement", "Container", "chat-interface", "envs"),
        SUCCEEDED,
    )
    assert "- **Stops before its replacement starts:** `chat-interface`" in report
    assert "- Replaced while it keeps serving: `phi-inference`" in report
    assert "| replace | Container `phi-inference` | image |" in report
    assert report.count("phi-inference`") == 2, "a replacement has one row"


def test_component_resources_are_not_listed(preview: Previewer) -> None:
    component = step("create", "Container", "phi-inference")
    component["resourcePreEvent"]["metadata"]["type"] = "llm-stack:index:ServiceStack"
    assert "- No changes." in preview(component, SUCCEEDED)


def test_removed_model_volumes_are_listed(preview: Previewer) -> None:
    report = preview(step("delete", "Volume", "phi-inference-models"), SUCCEEDED)
    assert (
        "- **Model volumes are removed**, and models are downloaded again: `phi-inference-models`"
        in report
    )


def test_changed_images_are_listed(preview: Previewer) -> None:
    report = preview(step("create-replacement", "RemoteImage", "chat-build", "name"), SUCCEEDED)
    assert "- Changed images: `chat-build`" in report


def test_new_and_updated_containers_are_listed(preview: Previewer) -> None:
    report = preview(
        step("create", "Container", "qwen-inference"),
        step("create", "Container", "qwen-inference-secrets-carrier"),
        step("update", "Container", "monitor", "mustRun"),
        SUCCEEDED,
    )
    assert "- New: `qwen-inference`\n- Updated in place: `monitor`\n" in report


def test_policy_violations_come_first(preview: Previewer) -> None:
    report = preview(violation(), violation("advisory"), stderr="error: preview failed", code=1)
    verdict = report.splitlines()[3:]
    assert verdict[0] == (
        "- **Policy violation:** no-host-port: monitor opens port 8090 on the host."
    )
    assert report.count("Policy violation") == 1
    assert verdict[1] == (
        "- **Less strict than the default:** no-host-port: monitor opens port 8090 on the host."
    )


def test_failed_preview_shows_its_error(preview: Previewer) -> None:
    failed = {"summaryEvent": {"resourceChanges": {}, "result": "failed"}}
    message = "error: Pulumi.prod.yaml: llm-stack:servces"
    report = preview(failed, stdout="", stderr=message, code=255)
    assert "- **The preview did not complete.**" in report
    assert "error: Pulumi.prod.yaml: llm-stack:servces" in report


def test_output_cannot_end_its_code_block(preview: Previewer) -> None:
    report = preview(SUCCEEDED, stdout="```\n<script>\n````\n")
    assert "\n`````text\n```\n<script>\n````\n`````\n" in report


def test_long_preview_fits_into_a_comment(preview: Previewer) -> None:
    report = preview(step("create", "Container", "monitor"), SUCCEEDED, stdout="x" * 100_000)
    assert len(report) < 65_536
    assert "cut here" in report
    assert report.rstrip().endswith("</details>")
