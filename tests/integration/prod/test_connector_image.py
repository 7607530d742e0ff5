"""The default image of connectors."""

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
    """Built as by the stack, from the double of the published image."""
    buildkit(
        *("--quiet", "-t", TAG, "-f", str(PROJECT_ROOT / "docker/cloudflared.Dockerfile")),
        *("--build-arg", f"CLOUDFLARED_IMAGE={connector_image}"),
        # The double is a script and needs Python.
        *("--build-arg", "BASE_IMAGE=python:3.11-slim"),
        str(PROJECT_ROOT / "docker"),
    )
    yield engine.images.get(TAG)
    engine.images.remove(TAG, force=True)


def test_the_image_runs_cloudflared_as_an_unprivileged_user(image: Image) -> None:
    config = image.attrs["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["cloudflared"]
    assert config["Cmd"][:2] == ["tunnel", "--no-autoupdate"]
    assert not any(entry.startswith("TUNNEL_TOKEN") for entry in config["Env"])


def test_the_health_check_fails_without_a_connection(
    image: Image, engine: docker.DockerClient
) -> None:
    """With a misplaced flag, it would print the help and pass."""
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
