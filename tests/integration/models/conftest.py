"""Containers with SmolLM2, and the files that the tests make for it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.conftest import build_arguments
from tests.integration.inference import Inference, inference
from tests.integration.models.gguf_files import split, write_adapter, write_projector

IMAGE = "llm-stack-test/inference-smollm2-135m"
BUNDLED = "/opt/models/smollm2-135m.gguf"
SMOLLM2: dict[str, Any] = {"path": BUNDLED}
FILES = "/files"


@pytest.fixture(scope="session")
def image(buildkit: Callable[..., subprocess.CompletedProcess[str]]) -> str:
    buildkit("--quiet", "-t", IMAGE, *build_arguments("inference-smollm2-135m"))
    return IMAGE


@pytest.fixture(scope="session")
def containers(
    engine: docker.DockerClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Inference]:
    with inference(engine, image, tmp_path_factory.mktemp("inference")) as starting:
        yield starting


@pytest.fixture(scope="session")
def files(
    engine: docker.DockerClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with adapters, a projector, and the model in three parts."""
    folder = tmp_path_factory.mktemp("files")
    write_adapter(folder / "adapter.gguf", strength=1)
    write_projector(folder / "projector.gguf")
    source = folder / "source"
    source.mkdir()
    (source / "m.gguf").write_bytes(_bundled_model(engine, image))
    split(source / "m.gguf", folder, tensors_in_part=100)
    # The program has another user than these tests.
    folder.chmod(0o755)
    return folder


def _bundled_model(engine: docker.DockerClient, image: str) -> bytes:
    container = engine.containers.create(image)
    try:
        chunks, _ = container.get_archive(BUNDLED)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(archive.getmembers()[0])
            assert member is not None
            return member.read()
    finally:
        container.remove()
