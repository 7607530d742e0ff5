"""The inference image with a published llama-server: nothing is compiled, a wrong one is refused.

The registry of llama.cpp's images may be out of reach, so a registry of this test's own holds a
placeholder: the llama-server of the inference image that this machine runs, laid out as in
llama.cpp's image.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from components.config.stack_settings import BaseImages, EngineSource
from components.images.image_sources import LlamaEngine, image_sources
from tests.doubles.registry_server import USER, RegistryServer, running_registry
from tests.integration.conftest import PROJECT_ROOT, build_arguments, forget_images
from tests.integration.inference import answer, inference, wait_until_healthy

Build = Callable[..., subprocess.CompletedProcess[str]]
LOCAL = "llm-stack-test/inference"
PUBLISHED = "llm-stack-test/published-engine"
# Commands in the build log if anything were compiled.
COMPILING = ("g++", "cmake", "ninja", "llama_cpp_python", "engine-compiled")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def publish(
    registry: RegistryServer, buildkit: Build, engine: docker.DockerClient, tmp_path_factory: Any
) -> Iterator[Callable[..., str]]:
    """Push an image with llama.cpp's layout and further lines; return its digest."""
    buildkit("--quiet", "--tag", LOCAL, *build_arguments("inference-tiny"))

    def publish(name: str, *lines: str) -> str:
        folder = tmp_path_factory.mktemp("published")
        source = ["FROM python:3.11-slim", f"COPY --from={LOCAL} /opt/llama /app", *lines]
        (folder / "Dockerfile").write_text("\n".join(source), encoding="utf-8")
        reference = f"{registry.address}/llama.cpp:{name}"
        buildkit("--quiet", "--tag", reference, str(folder))
        login = {"username": USER, "password": registry.password}
        for line in engine.images.push(reference, auth_config=login, stream=True, decode=True):
            assert "error" not in line, line
        (digest,) = engine.images.get(reference).attrs["RepoDigests"]
        engine.images.remove(reference, force=True)
        return str(digest)

    engine.login(USER, registry.password, registry=registry.address)
    yield publish
    forget_images(engine, registry.address, PUBLISHED)


@pytest.fixture(scope="module")
def build_published(
    buildkit: Build, registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> Build:
    """Build the inference image with a published llama-server; return failures, do not raise."""
    login = tmp_path_factory.mktemp("docker-config")
    subprocess.run(
        ["docker", "--config", login, "login", "-u", USER, "--password-stdin", registry.address],
        input=registry.password,
        text=True,
        check=True,
        capture_output=True,
    )

    def build(llama: str) -> subprocess.CompletedProcess[str]:
        sources = image_sources(
            "inference-tiny", BaseImages(llama=llama), LlamaEngine(EngineSource.PUBLISHED)
        )
        arguments = [f"--build-arg={key}={value}" for key, value in sources.build_args.items()]
        dockerfile, context = PROJECT_ROOT / sources.dockerfile, PROJECT_ROOT / sources.context
        return buildkit(
            *("--progress=plain", "--tag", PUBLISHED, "--file", str(dockerfile)),
            *(*arguments, str(context)),
            docker_config=login,
            check=False,
            capture_output=True,
        )

    return build


def test_nothing_is_compiled_and_a_chat_answers(
    publish: Callable[..., str],
    build_published: Build,
    engine: docker.DockerClient,
    tmp_path: Path,
) -> None:
    built = build_published(publish("server"))
    assert built.returncode == 0, built.stderr
    steps = [line for line in built.stderr.splitlines() if line.startswith("#")]
    assert any("FROM" in line and "/llama.cpp@sha256:" in line for line in steps), built.stderr
    assert not [line for line in steps if any(word in line for word in COMPILING)]

    with inference(engine, PUBLISHED, tmp_path) as starting:
        container = wait_until_healthy(starting.start({"path": "/opt/models/tiny.gguf"}))
        question = {"messages": [{"role": "user", "content": "Hi"}]}
        completion = answer(container, "/v1/chat/completions", question)
        assert completion["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            [
                r"RUN printf '#!/bin/sh\necho version: 0.9 \(build 99999, commit x\)\n' > /app/llama-server"
            ],
            id="another build",
        ),
        pytest.param(["RUN rm /app/libllama.so*"], id="a library that the base image lacks"),
    ],
)
def test_an_unsuitable_llama_server_is_refused_with_instructions(
    publish: Callable[..., str], build_published: Build, lines: list[str]
) -> None:
    built = build_published(publish("unfit", *lines))
    assert built.returncode != 0
    assert "error: llama-server of build" in built.stderr
    assert "llm-stack:engineSource" in built.stderr
