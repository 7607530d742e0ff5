"""Back to the version that served before, and forward again, by the documented commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import docker
import httpx
import pytest

from .conftest import PROJECT_ROOT, StackUnderTest, free_port

SAID = '"owned_by": "github-models" if card.external else "llm-stack"'


@pytest.fixture(scope="module")
def kept(stack: StackUnderTest) -> StackUnderTest:
    """The chat in its first version, in a stack that keeps one earlier version."""
    (stack.project / ".state").mkdir()
    (stack.project / ".state" / "bin").symlink_to(PROJECT_ROOT / ".state" / "bin")
    stack.configure(
        services=["chat-interface", "phi-inference"],
        hostPorts={"chat-interface": free_port()},
        monitor={"interval": 2, "restarts": False},
        standInModel="tiny",
        keepVersions=1,
    )
    edit(stack, "version-1")
    stack.up()
    return stack


@pytest.fixture(scope="module")
def chat(kept: StackUnderTest) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=kept.outputs()["urls"]["chat-interface"], timeout=60) as client:
        yield client


def edit(stack: StackUnderTest, version: str) -> None:
    """Change one line of the chat's program, so that its answers tell its version."""
    source = PROJECT_ROOT / "app" / "chat" / "model_status.py"
    text = source.read_text(encoding="utf-8")
    assert SAID in text
    target = stack.project / "app" / "chat" / "model_status.py"
    target.write_text(text.replace(SAID, f'"owned_by": "{version}"'), encoding="utf-8")


def serving(chat: httpx.Client) -> str:
    version: str = chat.get("/v1/models").raise_for_status().json()["data"][0]["owned_by"]
    return version


def rollback(
    stack: StackUnderTest, *images: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, "-m", "toolchain", "rollback", "--stack", stack.name, *images],
        cwd=stack.project,
        env=stack.environment,
        capture_output=True,
        text=True,
    )
    if check and result.returncode:
        pytest.fail(f"rollback:\n{result.stdout}\n{result.stderr}")
    return result


def versions(stack: StackUnderTest) -> set[str]:
    """Names of the chat's images that have served."""
    images = stack.engine.images.list(
        filters={"reference": f"llm-stack-{stack.name}/chat:served-*"}
    )
    return {tag for image in images for tag in image.tags if ":served-" in tag}


def test_there_is_no_way_back_from_the_first_version(kept: StackUnderTest) -> None:
    refused = rollback(kept, check=False)
    assert refused.returncode == 1
    assert "No earlier version of these images is kept" in refused.stdout


def test_one_command_brings_the_version_before_back(
    kept: StackUnderTest, chat: httpx.Client
) -> None:
    assert serving(chat) == "version-1"
    edit(kept, "version-2")
    kept.up()
    kept.pulumi("preview", "--expect-no-changes")
    assert serving(chat) == "version-2"
    model = kept.containers()["phi-inference"].id
    told = rollback(kept).stdout
    assert serving(chat) == "version-1"
    assert kept.containers()["phi-inference"].id == model, "what did not change is not touched"
    assert f"pulumi config rm --path 'llm-stack:imageDigests.chat' --stack {kept.name}" in told
    kept.pulumi("preview", "--expect-no-changes")


def test_removing_the_pin_leads_forward(kept: StackUnderTest, chat: httpx.Client) -> None:
    kept.pulumi("config", "rm", "--path", "llm-stack:imageDigests.chat")
    kept.up()
    assert serving(chat) == "version-2"
    kept.pulumi("preview", "--expect-no-changes")


def test_a_version_that_never_served_is_no_way_back(
    kept: StackUnderTest, chat: httpx.Client
) -> None:
    broken = kept.project / "app" / "chat" / "__main__.py"
    good = broken.read_text(encoding="utf-8")
    broken.write_text("raise SystemExit('broken')\n", encoding="utf-8")
    failed = kept.up(check=False)
    assert failed.returncode != 0
    assert "broken" in failed.stdout
    rollback(kept, "chat")
    assert serving(chat) == "version-2"
    broken.write_text(good, encoding="utf-8")


def test_an_old_version_goes_once_enough_newer_ones_served(
    kept: StackUnderTest, chat: httpx.Client
) -> None:
    before = versions(kept)
    kept.pulumi("config", "rm", "llm-stack:imageDigests")
    edit(kept, "version-3")
    kept.up()
    assert serving(chat) == "version-3"
    after = versions(kept)
    assert len(after) == 2, "the one that serves, and one before it"
    assert len(after - before) == 1
    assert max(before) in after


def test_a_pin_that_the_engine_does_not_hold_is_refused(kept: StackUnderTest) -> None:
    before = {name: container.id for name, container in kept.containers().items()}
    missing = "sha256:" + "0" * 64
    kept.pulumi("config", "set", "--path", "llm-stack:imageDigests.chat", missing)
    refused = kept.up(check=False)
    assert refused.returncode != 0
    assert (
        f"Pulumi.{kept.name}.yaml: llm-stack:imageDigests.chat: the engine holds no such image"
        in refused.stdout + refused.stderr
    )
    assert {name: container.id for name, container in kept.containers().items()} == before
    kept.pulumi("config", "rm", "llm-stack:imageDigests")


def test_only_kept_versions_outlive_the_stack(
    kept: StackUnderTest, engine: docker.DockerClient
) -> None:
    kept.pulumi("destroy", "--yes", "--skip-preview")
    left = engine.images.list(filters={"reference": f"llm-stack-{kept.name}/*"})
    tags = {tag for image in left for tag in image.tags if f"llm-stack-{kept.name}/" in tag}
    assert tags
    assert all(":served-" in tag for tag in tags), tags
