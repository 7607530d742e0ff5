"""Rollback to the previous version and forward again, with the documented commands."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import httpx
import pytest

from tests.integration.conftest import PROJECT_ROOT, StackUnderTest, rollback
from tests.ports import free_port

# The response of the chat's health endpoint, in its source.
SAID = '{"status": "ok"}'


@pytest.fixture(scope="module")
def kept(stack: StackUnderTest) -> StackUnderTest:
    """The first version of the chat, in a stack that keeps one earlier version."""
    stack.configure(
        services=["chat-interface"],
        hostPorts={"chat-interface": free_port()},
        monitor={"interval": 2, "restarts": False},
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
    """Change one line of the chat's program, so that its health response has its version."""
    source = PROJECT_ROOT / "app/chat/api/routes.py"
    text = source.read_text(encoding="utf-8")
    assert SAID in text
    target = stack.project / "app/chat/api/routes.py"
    target.write_text(text.replace(SAID, f'{{"status": "{version}"}}'), encoding="utf-8")


def serving(chat: httpx.Client) -> str:
    version: str = chat.get("/health").raise_for_status().json()["status"]
    return version


def versions(stack: StackUnderTest) -> set[str]:
    """Tags of the chat's images that have served."""
    images = stack.engine.images.list(
        filters={"reference": f"llm-stack-{stack.name}/chat:served-*"}
    )
    return {tag for image in images for tag in image.tags if ":served-" in tag}


def test_the_first_version_cannot_be_rolled_back(kept: StackUnderTest) -> None:
    refused = rollback(kept, check=False)
    assert refused.returncode == 1
    assert "No previous version of these images is kept" in refused.stdout


def test_one_command_restores_the_previous_version(
    kept: StackUnderTest, chat: httpx.Client
) -> None:
    assert serving(chat) == "version-1"
    edit(kept, "version-2")
    kept.up()
    assert serving(chat) == "version-2"
    monitor = kept.containers()["monitor"].id
    output = rollback(kept).stdout
    assert serving(chat) == "version-1"
    assert kept.containers()["monitor"].id == monitor, "unchanged services are not replaced"
    assert f"pulumi config rm --path 'llm-stack:imageDigests.chat' --stack {kept.name}" in output
    kept.pulumi("preview", "--expect-no-changes")
    kept.pulumi("config", "rm", "--path", "llm-stack:imageDigests.chat")


def test_a_version_that_never_served_is_not_a_rollback_target(
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


def test_without_the_pin_the_stack_updates_and_the_oldest_version_is_removed(
    kept: StackUnderTest, chat: httpx.Client
) -> None:
    before = versions(kept)
    kept.pulumi("config", "rm", "llm-stack:imageDigests")
    edit(kept, "version-3")
    kept.up()
    kept.pulumi("preview", "--expect-no-changes")
    assert serving(chat) == "version-3"
    after = versions(kept)
    assert len(after) == 2, "the serving version and the previous one"
    assert len(after - before) == 1
    assert max(before) in after


def test_a_pinned_image_that_the_engine_does_not_have_is_refused(kept: StackUnderTest) -> None:
    before = {name: container.id for name, container in kept.containers().items()}
    missing = "sha256:" + "0" * 64
    kept.pulumi("config", "set", "--path", "llm-stack:imageDigests.chat", missing)
    refused = kept.up(check=False)
    assert refused.returncode != 0
    output = refused.stdout + refused.stderr
    assert "llm-stack:imageDigests.chat: the engine does not have this image" in output
    assert "an unhandled error occurred" not in output
    assert {name: container.id for name, container in kept.containers().items()} == before
    kept.pulumi("config", "rm", "llm-stack:imageDigests")


def test_only_kept_versions_remain_after_destroy(
    kept: StackUnderTest, engine: docker.DockerClient
) -> None:
    kept.pulumi("destroy", "--yes", "--skip-preview")
    left = engine.images.list(filters={"reference": f"llm-stack-{kept.name}/*"})
    tags = {tag for image in left for tag in image.tags if f"llm-stack-{kept.name}/" in tag}
    assert tags
    assert all(":served-" in tag for tag in tags), tags
