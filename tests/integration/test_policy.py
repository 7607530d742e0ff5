"""The policy pack in the real Pulumi engine: it accepts the program and rejects violations."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import StackUnderTest
from tests.ports import free_port

# Pinned by a digest, so that a preview asks no registry.
LOOSENED = f"""
  page:
    kind: container
    image: registry.example.com/page@sha256:{"0" * 64}
    user: image
    cap_add: [CHOWN]
    secret_environment: {{API_KEY: "${{page-key}}"}}
secrets:
  page-key: {{generate: 32}}
"""


@pytest.fixture(scope="module")
def pack(stack: StackUnderTest) -> Path:
    """The pack of the stack's checkout, with its virtual environment."""
    return stack.project / "policy"


def test_the_program_violates_no_rule(stack: StackUnderTest, pack: Path) -> None:
    """A stack that is not named dev is production."""
    stack.configure(services=["chat-interface", "phi-inference"])
    preview = stack.pulumi("preview", "--policy-pack", str(pack))
    assert "[mandatory]" not in preview.stdout


def test_a_host_port_fails_before_any_resource_is_created(
    stack: StackUnderTest, pack: Path
) -> None:
    port = free_port()
    stack.configure(services=["chat-interface"], hostPorts={"chat-interface": port})
    refused = stack.pulumi("up", "--yes", "--policy-pack", str(pack), check=False)
    assert refused.returncode != 0
    assert f"chat-interface publishes port {port} on the host" in refused.stdout
    assert stack.containers(running=False) == {}


def test_the_report_of_a_pull_request_shows_the_violation_first(
    stack: StackUnderTest, pack: Path, tmp_path: Path
) -> None:
    """The script of the preview workflow, with the real pulumi."""
    port = free_port()
    stack.configure(services=["chat-interface"], hostPorts={"chat-interface": port})
    refused = preview(stack, pack, tmp_path)
    assert refused.returncode != 0
    first = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()[3]
    assert first.startswith(
        f"- **Policy violation:** no-host-port: chat-interface publishes port {port}"
    )
    stack.configure(services=["chat-interface"])
    assert preview(stack, pack, tmp_path).returncode == 0
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "- New: `chat-interface`, `monitor`, `restarter`" in report
    assert "| create | RemoteImage `chat-build` |" in report


def preview(stack: StackUnderTest, pack: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    script = stack.project / ".github" / "scripts" / "preview" / "preview"
    environment = {**stack.environment, "POLICY_PACK": str(pack)}
    environment.pop("GITHUB_STEP_SUMMARY", None)
    return subprocess.run(
        [script, stack.name, folder],
        cwd=stack.project,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_what_the_catalogue_opens_is_listed_and_allowed(stack: StackUnderTest, pack: Path) -> None:
    catalogue = stack.project / "services.yaml"
    catalogue.write_text(catalogue.read_text(encoding="utf-8") + LOOSENED, encoding="utf-8")
    stack.configure(services=["chat-interface", "page"])
    preview = stack.pulumi("preview", "--policy-pack", str(pack))
    assert "[mandatory]" not in preview.stdout
    listed = (
        "less strict than the default: user: image; cap_add: CHOWN; secret_environment: API_KEY"
    )
    assert f"page: {listed}" in preview.stdout
    for remark in ("may run as root: image", "has capabilities: CHOWN"):
        assert f"page {remark}" in preview.stdout
