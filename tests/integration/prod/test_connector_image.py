"""The image that connectors run from, where the settings name no other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import docker
import pytest
from docker.models.images import Image

from tests.integration.conftest import PROJECT_ROOT

TAG = "llm-stack-test/connector:latest"


@pytest.fixture(scope="module")
def image(
    buildkit: Callable[..., subprocess.CompletedProcess[str]],
    engine: docker.DockerClient,
    connector_image: str,
) -> Iterator[Image]:
    """Built as the stack builds it, from the stand-in for the published image."""
    buildkit(
        *("--quiet", "-t", TAG, "-f", str(PROJECT_ROOT / "docker/cloudflared.Dockerfile")),
        *("--build-arg", f"CLOUDFLARED_IMAGE={connector_image}"),
        # The stand-in is a script, and needs what it is written in.
        *("--build-arg", "BASE_IMAGE=python:3.11-slim"),
        str(PROJECT_ROOT / "docker"),
    )
    yield engine.images.get(TAG)
    engine.images.remove(TAG, force=True)


def test_it_runs_cloudflared_alone_as_nobody_in_particular(image: Image) -> None:
    config = image.attrs["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["cloudflared"]
    assert config["Cmd"][:2] == ["tunnel", "--no-autoupdate"]
    assert not any(entry.startswith("TUNNEL_TOKEN") for entry in config["Env"])


def test_its_health_check_fails_where_nothing_is_connected(
    image: Image, engine: docker.DockerClient
) -> None:
    """A misplaced flag would print the help, and pass."""
    command = image.attrs["Config"]["Healthcheck"]["Test"]
    assert command[0] == "CMD"
    checked = engine.containers.create(
        image, entrypoint=command[1:2], command=command[2:], read_only=True, cap_drop=["ALL"]
    )
    try:
        checked.start()
        assert checked.wait()["StatusCode"] == 1
    finally:
        checked.remove(force=True)
