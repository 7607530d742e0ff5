"""What a person reads of a preview: first what would surprise."""

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
    """An event as the engine logs it; resources stand below their component."""
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
    """The report of a preview in which pulumi logged these events."""

    def run(
        *events: dict[str, Any], says: str = "all of it", complains: str = "", code: int = 0
    ) -> str:
        log = "".join(json.dumps({"sequence": n, **e}) + "\n" for n, e in enumerate(events))
        folder = tmp_path / "preview"
        world.pretend("pulumi")
        world.answer(
            "preview", says=says, complains=complains, code=code, writes={"--event-log": log}
        )
        summary = tmp_path / "summary.md"
        ended = world.run(
            *("preview", "prod", str(folder), "--refresh"),
            check=False,
            GITHUB_STEP_SUMMARY=str(summary),
        )
        assert ended.returncode == code, "the step ends as pulumi does"
        report = (folder / "report.md").read_text()
        assert summary.read_text() == report, "forks read it there"
        return report

    return run


def test_pulumi_is_asked_for_the_stack_under_the_policy(preview: Previewer, world: World) -> None:
    preview(SUCCEEDED)
    (asked,) = world.calls("pulumi")
    assert asked[:4] == ["pulumi", "preview", "--stack", "prod"]
    assert asked[asked.index("--policy-pack") + 1] == "policy"
    assert asked[-1] == "--refresh"
    assert "--show-secrets" not in asked


def test_a_quiet_preview_says_so(preview: Previewer) -> None:
    report = preview(step("same", "Container", "monitor"), SUCCEEDED)
    assert report.splitlines()[:4] == [
        "<!-- llm-stack preview of prod -->",
        "### Preview of `prod`",
        "",
        "- Nothing changes.",
    ]


def test_what_stops_is_told_apart_from_what_starts_beside(preview: Previewer) -> None:
    report = preview(
        step("create-replacement", "Container", "phi-inference", "image"),
        step("replace", "Container", "phi-inference", "image"),
        step("delete-replaced", "Container", "phi-inference", "image"),
        step("delete-replaced", "Container", "chat-interface", "envs"),
        step("replace", "Container", "chat-interface", "envs"),
        step("create-replacement", "Container", "chat-interface", "envs"),
        SUCCEEDED,
    )
    assert "- **Stops before anything takes its place:** `chat-interface`" in report
    assert "- Starts anew beside the one that serves: `phi-inference`" in report
    assert "| replace | Container `phi-inference` | image |" in report
    assert report.count("phi-inference`") == 2, "one row for all steps of a replacement"


def test_components_are_not_listed_beside_what_they_hold(preview: Previewer) -> None:
    component = step("create", "Container", "phi-inference")
    component["resourcePreEvent"]["metadata"]["type"] = "llm-stack:index:ServiceStack"
    assert "- Nothing changes." in preview(component, SUCCEEDED)


def test_lost_models_are_told(preview: Previewer) -> None:
    report = preview(step("delete", "Volume", "phi-inference-models"), SUCCEEDED)
    assert "- **Models are let go of**, or fetched anew: `phi-inference-models`" in report


def test_changed_images_are_named(preview: Previewer) -> None:
    report = preview(step("create-replacement", "RemoteImage", "chat-build", "name"), SUCCEEDED)
    assert "- Images that change: `chat-build`" in report


def test_what_starts_and_what_changes_in_place_is_named(preview: Previewer) -> None:
    report = preview(
        step("create", "Container", "qwen-inference"),
        step("create", "Container", "qwen-inference-secrets-carrier"),
        step("update", "Container", "monitor", "mustRun"),
        SUCCEEDED,
    )
    assert "- New: `qwen-inference`\n- Changes in place: `monitor`\n" in report


def test_a_broken_rule_comes_first(preview: Previewer) -> None:
    report = preview(violation(), violation("advisory"), complains="error: preview failed", code=1)
    verdict = report.splitlines()[3:]
    assert verdict[0] == ("- **Not allowed.** no-host-port: monitor opens port 8090 on the host.")
    assert report.count("Not allowed") == 1, "advice blocks nothing"


def test_a_preview_that_failed_shows_why(preview: Previewer) -> None:
    failed = {"summaryEvent": {"resourceChanges": {}, "result": "failed"}}
    told = "error: Pulumi.prod.yaml: llm-stack:servces"
    report = preview(failed, says="", complains=told, code=255)
    assert "- **The preview did not come to its end.**" in report
    assert "error: Pulumi.prod.yaml: llm-stack:servces" in report


def test_what_was_said_cannot_leave_its_block(preview: Previewer) -> None:
    report = preview(SUCCEEDED, says="```\n<script>\n````\n")
    assert "\n`````text\n```\n<script>\n````\n`````\n" in report


def test_a_long_preview_still_fits_into_a_comment(preview: Previewer) -> None:
    report = preview(step("create", "Container", "monitor"), SUCCEEDED, says="x" * 100_000)
    assert len(report) < 65_536
    assert "cut here" in report
    assert report.rstrip().endswith("</details>")
