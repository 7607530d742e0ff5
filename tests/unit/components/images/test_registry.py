"""A stack with a registry: built, pushed and pulled images, and refused settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.config.problems import SettingsError, Source
from components.config.registry import RegistrySettings, registry_problems
from components.config.schema import validate
from components.config.stack_settings import StackSettings
from components.images.image_sources import image_names
from tests.doubles.recording_engine import Graph, StackRunner

REGISTRY = {"server": "registry.example.com", "repository": "team/llm-stack"}
STACK = {"services": ["chat-interface"], "registry": {**REGISTRY, "username": "robot"}}
PASSWORD = {"registryPassword": "not-a-password"}
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def pushed(run_program: StackRunner) -> Graph:
    return run_program(STACK, secrets=PASSWORD)


def test_images_are_built_pushed_and_kept(pushed: Graph) -> None:
    builds, pushes = pushed.of("RemoteImage"), pushed.of("RegistryImage")
    assert {name.removesuffix("-push") for name in pushes} == {
        name.removesuffix("-build") for name in builds
    }
    for build in builds.values():
        assert build.inputs["name"].startswith("registry.example.com/team/llm-stack/")
        assert build.inputs["name"].endswith("-amd64"), (
            "a tag of one platform never takes the place of the image for all"
        )
        assert build.inputs["build"]["platform"] == "linux/amd64"
        assert build.inputs["keepLocally"] is True, "the way back"
    assert all(push.inputs["keepRemotely"] for push in pushes.values()), "the way back"


def test_containers_run_the_pushed_images_by_digest(pushed: Graph) -> None:
    for name, container in pushed.of("Container").items():
        assert container.inputs["image"].startswith("registry.example.com/team/llm-stack/"), name
        assert "@sha256:" in container.inputs["image"], name


def test_images_can_be_built_for_another_platform(run_program: StackRunner) -> None:
    registry = {**REGISTRY, "username": "robot", "platforms": ["linux/arm64"]}
    build = run_program({**STACK, "registry": registry}, secrets=PASSWORD).of("RemoteImage")
    assert build["chat-build"].inputs["build"]["platform"] == "linux/arm64"
    assert build["chat-build"].inputs["name"].endswith("-arm64")


def test_an_image_given_by_digest_is_pulled_and_not_built(run_program: StackRunner) -> None:
    graph = run_program({**STACK, "imageDigests": {"chat": DIGEST}}, secrets=PASSWORD)
    images = graph.of("RemoteImage")
    assert "chat-build" not in images
    assert "chat-push" not in graph.of("RegistryImage")
    name = f"registry.example.com/team/llm-stack/chat@{DIGEST}"
    assert images["chat-pull"].inputs["name"] == name
    assert graph.running["chat-interface"].inputs["image"] == name
    assert "monitor-build" in images, "what has no digest is built as ever"


def test_only_the_provider_receives_the_password_encrypted(pushed: Graph) -> None:
    receivers = [r for r in pushed.resources if "not-a-password" in str(r.inputs)]
    assert [r.type for r in receivers] == ["pulumi:providers:docker"]
    assert receivers[0].secrets == {"registryAuth"}


def test_only_images_depend_on_the_registrys_provider(pushed: Graph) -> None:
    for resource in pushed.resources:
        if resource.type.startswith("docker:"):
            image = resource.type.endswith(("RemoteImage", "RegistryImage"))
            assert ("::registry::" in resource.provider) is image, resource.name


@pytest.fixture
def logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a login from `docker login`."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("logged_in")
def test_without_a_username_the_login_of_the_machine_is_used(run_program: StackRunner) -> None:
    graph = run_program({**STACK, "registry": REGISTRY})
    (provider,) = [r for r in graph.resources if r.type == "pulumi:providers:docker"]
    assert "~/.docker/config.json" in provider.inputs["registryAuth"]
    assert "username" not in provider.inputs["registryAuth"]


def test_without_any_login_the_stack_is_refused(
    run_program: StackRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(pulumi.RunError, match=r"run: docker login registry\.example\.com$"):
        run_program({**STACK, "registry": REGISTRY})


@pytest.mark.usefixtures("logged_in")
def test_a_registry_on_this_machine_is_used_over_plain_http(
    run_program: StackRunner,
) -> None:
    registry = {**REGISTRY, "server": "127.0.0.1:5000"}
    graph = run_program({**STACK, "registry": registry})
    (provider,) = [r for r in graph.resources if r.type == "pulumi:providers:docker"]
    assert '"http://127.0.0.1:5000"' in provider.inputs["registryAuth"]


def test_a_stack_without_registry_uses_the_default_provider(run_program: StackRunner) -> None:
    graph = run_program({"services": ["chat-interface"]})
    assert not [r for r in graph.resources if r.type.startswith("pulumi:providers:")]
    assert graph.of("RegistryImage") == {}


KNOWN = ("carrier", "chat", "cloudflared", "inference", "monitor", "restarter")


@pytest.mark.parametrize(
    ("registry", "digests", "password_given", "problem"),
    [
        (
            {**REGISTRY, "username": "robot"},
            {},
            False,
            "registry.username: is set but registryPassword is not; found 'robot'; run: pulumi "
            "config set --secret llm-stack:registryPassword",
        ),
        (
            REGISTRY,
            {},
            True,
            "registryPassword: is set but registry.username is not; run: pulumi config set "
            "--path llm-stack:registry.username <name>",
        ),
        (
            None,
            {},
            True,
            "registryPassword: is set but registry.server is not; run: pulumi "
            "config set --path llm-stack:registry.server <host>",
        ),
        (
            REGISTRY,
            {"chatt": DIGEST},
            False,
            "imageDigests.chatt: is not an image of this project; did you mean 'chat'? allowed: "
            "carrier, chat, cloudflared, inference, monitor, restarter",
        ),
    ],
)
def test_a_registry_that_cannot_be_used_is_refused(
    registry: dict[str, str] | None, digests: dict[str, str], password_given: bool, problem: str
) -> None:
    settings = RegistrySettings.model_validate(registry) if registry else None
    (found,) = registry_problems(
        settings, digests, password_given=password_given, images=KNOWN, source=Source("")
    )
    assert str(found).removeprefix(": ") == problem


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"registry": {**REGISTRY, "server": "https://ghcr.io"}}, "registry.server"),
        ({"registry": {**REGISTRY, "server": "ghcr.io/team"}}, "registry.server"),
        ({"registry": {**REGISTRY, "repository": "Team/Stack"}}, "registry.repository"),
        ({"registry": {**REGISTRY, "repository": "team/"}}, "registry.repository"),
        ({"registry": {**REGISTRY, "platforms": ["linux/riscv64"]}}, "registry.platforms.0"),
        ({"registry": {**REGISTRY, "platforms": []}}, "registry.platforms"),
        ({"registry": REGISTRY, "imageDigests": {"chat": "latest"}}, "imageDigests.chat"),
    ],
)
def test_an_invalid_repository_name_is_refused(settings: dict[str, Any], key: str) -> None:
    source = Source("Pulumi.prod.yaml", "llm-stack:")
    with pytest.raises(SettingsError, match=f"^Pulumi.prod.yaml: llm-stack:{key}: "):
        validate(StackSettings, {"services": "all", **settings}, source)


def test_every_dockerfile_has_an_image() -> None:
    assert image_names() == list(KNOWN)
