"""A stack with a registry: images are pushed, run by digest, and pulled on other hosts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import pytest

from tests.doubles.registry_server import USER, RegistryServer, running_registry
from tests.integration.conftest import StackUnderTest, forget_images, rollback

# The images of a stack with the chat and without models.
IMAGES = {"carrier", "chat", "monitor"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def pushed(
    stack: StackUnderTest, registry: RegistryServer, engine: docker.DockerClient
) -> Iterator[StackUnderTest]:
    """The chat, run from images that were built and pushed."""
    configure(stack, registry)
    stack.up()
    yield stack
    # Pushed images are kept when the stack is destroyed, also on this engine.
    stack.remove()
    forget_images(engine, registry.address)


def configure(
    stack: StackUnderTest,
    registry: RegistryServer,
    image_digests: Mapping[str, str] | None = None,
) -> None:
    """Enable only the chat, with its images in the registry."""
    stack.configure(
        services=["chat-interface"],
        monitor={"interval": 2, "restarts": False},
        registry={
            "server": registry.address,
            "repository": f"team/{stack.name}",
            "username": USER,
        },
        imageDigests={**(image_digests or {})},
        keepVersions=1,
    )
    stack.pulumi("config", "set", "--secret", "registryPassword", registry.password)


def digests(stack: StackUnderTest) -> dict[str, str]:
    """The pushed digest of each image, from the state."""
    return {
        resource["urn"].rpartition("::")[2].removesuffix("-push"): resource["outputs"][
            "sha256Digest"
        ]
        for resource in exported(stack)
        if resource["type"].endswith(":RegistryImage")
    }


def exported(stack: StackUnderTest) -> list[dict[str, Any]]:
    state = json.loads(stack.pulumi("stack", "export").stdout)
    resources: list[dict[str, Any]] = state["deployment"]["resources"]
    return resources


def test_every_image_is_in_the_registry(pushed: StackUnderTest, registry: RegistryServer) -> None:
    assert registry.repositories() == sorted(f"team/{pushed.name}/{image}" for image in IMAGES)


def test_containers_run_by_digest(pushed: StackUnderTest, registry: RegistryServer) -> None:
    pushed_as = digests(pushed)
    assert set(pushed_as) == IMAGES
    runs = {name: c.attrs["Config"]["Image"] for name, c in pushed.containers().items()}
    prefix = f"{registry.address}/team/{pushed.name}"
    assert runs == {
        "chat-interface": f"{prefix}/chat@{pushed_as['chat']}",
        "monitor": f"{prefix}/monitor@{pushed_as['monitor']}",
    }


def test_an_unchanged_stack_has_no_planned_changes(pushed: StackUnderTest) -> None:
    pushed.pulumi("preview", "--expect-no-changes")
    pushed.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    pushed.pulumi("preview", "--expect-no-changes")


def test_the_password_is_not_in_plain_text_anywhere(
    pushed: StackUnderTest, registry: RegistryServer
) -> None:
    kept = subprocess.run(
        ["grep", "-rlF", registry.password, pushed.directory / "state", pushed.project],
        capture_output=True,
        text=True,
    )
    assert kept.stdout == "", "the password is in state, history, settings or build logs"
    shown = json.dumps([c.attrs for c in pushed.containers(running=False).values()])
    assert registry.password not in shown
    assert registry.password not in pushed.pulumi("stack", "output", "--json").stdout
    # Check that the search finds the password.
    revealed = pushed.pulumi("stack", "export", "--show-secrets").stdout
    assert registry.password in revealed


def test_a_rollback_runs_the_previous_image_by_digest(pushed: StackUnderTest) -> None:
    before = pushed.containers()["chat-interface"].attrs["Config"]["Image"]
    source = pushed.project / "app" / "chat" / "__init__.py"
    good = source.read_text(encoding="utf-8")
    source.write_text(good + "# another version\n", encoding="utf-8")
    pushed.up()
    assert pushed.containers()["chat-interface"].attrs["Config"]["Image"] != before
    rollback(pushed)
    assert pushed.containers()["chat-interface"].attrs["Config"]["Image"] == before
    source.write_text(good, encoding="utf-8")
    pushed.pulumi("config", "rm", "llm-stack:imageDigests")
    pushed.up()
    assert pushed.containers()["chat-interface"].attrs["Config"]["Image"] == before


def test_a_host_without_the_images_pulls_them_by_digest_and_builds_nothing(
    pushed: StackUnderTest, registry: RegistryServer, engine: docker.DockerClient
) -> None:
    given = digests(pushed)
    pushed.pulumi("destroy", "--yes", "--skip-preview")
    pushed.forget_versions()
    for image in IMAGES:
        engine.images.remove(
            f"{registry.address}/team/{pushed.name}/{image}@{given[image]}", force=True
        )
    for source in ("chat", "monitor"):
        (pushed.project / "docker" / f"{source}.Dockerfile").write_text("FROM no-such-image\n")
    configure(pushed, registry, image_digests=given)
    pushed.up()
    runs = {name: c.attrs["Config"]["Image"] for name, c in pushed.containers().items()}
    assert runs["chat-interface"].endswith(f"/chat@{given['chat']}")
    pushed.pulumi("preview", "--expect-no-changes")
    pushed.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
