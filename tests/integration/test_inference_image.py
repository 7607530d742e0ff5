"""The inference image on a real engine: built, run with a stack's hardening, queried, stopped.

INFERENCE_IMAGE names an image that is already built; otherwise it is built here (the first build
compiles llama-server, which takes minutes).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network

from tests.integration.conftest import build_arguments
from tests.integration.inference import (
    Inference,
    address,
    ask,
    failure_line,
    inference,
    wait_until_healthy,
)

TINY = {"path": "/opt/models/tiny.gguf"}
FROM_HUB = {"repository": "someone/tiny-gguf", "file": "tiny.gguf"}
HUB_URL = "http://hub:8080"
SMALL_MODELS_DIR = {"/tmp": "size=64m,noexec", "/models": "size=1m,uid=10001,gid=10001"}


@pytest.fixture(scope="module")
def inference_image(buildkit: Callable[..., subprocess.CompletedProcess[str]]) -> str:
    if given := os.environ.get("INFERENCE_IMAGE"):
        return given
    tag = "llm-stack-test/inference"
    buildkit("--progress=plain", "-t", tag, *build_arguments("inference-tiny"))
    return tag


@pytest.fixture(scope="module")
def images(
    engine: docker.DockerClient, inference_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Inference]:
    with inference(engine, inference_image, tmp_path_factory.mktemp("inference")) as starting:
        yield starting


@pytest.fixture
def volume(engine: docker.DockerClient) -> Iterator[str]:
    created = engine.volumes.create(f"inference-test-{uuid.uuid4().hex[:8]}")
    yield created.name
    for container in engine.containers.list(all=True, filters={"volume": created.name}):
        container.remove(force=True)
    created.remove()


@pytest.fixture
def hub_network(engine: docker.DockerClient, images: Inference) -> Iterator[Network]:
    """A network on which a model hub serves the tiny model under the names in FROM_HUB."""
    network = engine.networks.create(f"inference-test-{uuid.uuid4().hex[:8]}")
    hub = images.start_hub("someone/tiny-gguf", "/opt/models/tiny.gguf")
    network.connect(hub, aliases=["hub", "hub-storage"])
    yield network
    network.reload()
    for container in network.containers:
        network.disconnect(container, force=True)
    network.remove()


@pytest.fixture(scope="module")
def served(images: Inference) -> Container:
    """A healthy container with the tiny model."""
    return wait_until_healthy(images.start(TINY, name="tiny", run={"nano_cpus": 1_000_000_000}))


class TestServing:
    def test_an_answer_is_streamed_in_chunks(self, served: Container) -> None:
        question = {
            "model": "tiny",
            "stream": True,
            "max_tokens": 64,
            "messages": [{"role": "user", "content": "Say something, päivää 你好!"}],
        }
        with ask(f"{address(served)}/v1/chat/completions", question) as answer:
            events = [
                line.removeprefix("data: ")
                for line in answer.read().decode().splitlines()
                if line.startswith("data: ")
            ]
        assert events[-1] == "[DONE]"
        deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
        chunks = [delta["content"] for delta in deltas if delta.get("content")]
        assert len(chunks) >= 5
        assert "".join(chunks).isprintable(), "random, but printable text"

    def test_an_answer_without_streaming_names_the_model_and_stops(self, served: Container) -> None:
        question = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "seed": 1}
        with ask(f"{address(served)}/v1/chat/completions", question) as answer:
            completion = json.load(answer)
        assert completion["model"] == "tiny"
        assert completion["choices"][0]["finish_reason"] == "stop"
        assert completion["choices"][0]["message"]["content"].endswith(".")

    def test_an_answer_follows_a_json_schema(self, served: Container) -> None:
        question = {
            "messages": [{"role": "user", "content": "Yes or no?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"schema": {"enum": ["yes", "no"]}},
            },
        }
        with ask(f"{address(served)}/v1/chat/completions", question) as answer:
            completion = json.load(answer)
        assert json.loads(completion["choices"][0]["message"]["content"]) in ("yes", "no")

    def test_the_model_name_is_that_of_the_catalogue(self, served: Container) -> None:
        with ask(f"{address(served)}/v1/models") as answer:
            assert [model["id"] for model in json.load(answer)["data"]] == ["tiny"]

    def test_each_slot_has_the_full_context(self, served: Container) -> None:
        with ask(f"{address(served)}/slots") as answer:
            assert [slot["n_ctx"] for slot in json.load(answer)] == [512, 512]

    def test_metrics_are_served(self, served: Container) -> None:
        with ask(f"{address(served)}/metrics") as answer:
            assert "llamacpp:tokens_predicted_total" in answer.read().decode()

    def test_other_origins_may_not_read_answers(self, served: Container) -> None:
        with ask(f"{address(served)}/v1/models", Origin="https://evil.example") as answer:
            assert answer.headers.get("Access-Control-Allow-Origin") in (None, "")

    def test_there_is_no_web_page(self, served: Container) -> None:
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            ask(f"{address(served)}/")
        refused.value.close()

    def test_threads_follow_the_cpu_limit(self, served: Container) -> None:
        engine = "/opt/llama/llama-server"
        [line] = [row for row in served.top()["Processes"] if row[-1].startswith(engine)]
        assert "--threads 1 " in line[-1]

    def test_every_log_line_is_json(self, served: Container) -> None:
        lines = served.logs().decode().splitlines()
        assert len(lines) > 5
        assert all(isinstance(json.loads(line), dict) for line in lines)


class TestImage:
    def test_it_runs_as_an_unprivileged_user(
        self, engine: docker.DockerClient, inference_image: str
    ) -> None:
        config = engine.images.get(inference_image).attrs["Config"]
        assert config["User"] == "10001:10001"
        assert config["Healthcheck"]["Test"]

    def test_it_contains_no_compiler_and_no_package_installer(self, served: Container) -> None:
        for tool in ("gcc", "g++", "cc", "cmake", "ninja", "pip"):
            assert served.exec_run(["which", tool]).exit_code != 0, tool

    def test_the_engine_finds_a_backend_for_every_processor(self, served: Container) -> None:
        output = served.exec_run(["ls", "/opt/llama"]).output
        assert isinstance(output, bytes)
        listed = set(output.decode().split())
        assert listed & {"libggml-cpu-x64.so", "libggml-cpu-armv8.0_1.so"}, (
            "a backend for any processor"
        )
        backends = {name for name in listed if re.fullmatch(r"libggml-cpu-.+\.so", name)}
        assert len(backends) >= 2, "the best backend for the build machine"


class TestStopping:
    def test_sigterm_stops_it_before_the_engine_kills_it(self, images: Inference) -> None:
        container = wait_until_healthy(images.start(TINY))
        container.stop(timeout=10)
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 0, "137 means SIGKILL"


class TestFailing:
    def test_a_wrong_digest(self, images: Inference) -> None:
        line = failure_line(images.start({**TINY, "sha256": "00" * 32}), code=12)
        assert "expected 0000" in line["error"]

    def test_no_network(self, images: Inference) -> None:
        run = {"network_mode": "none", "tmpfs": SMALL_MODELS_DIR, "ports": {}}
        line = failure_line(images.start(FROM_HUB, hub=HUB_URL, run=run), code=15)
        assert "cannot reach http://hub:8080" in line["error"]
        assert "network" in line["what_to_do"]

    def test_a_full_disk(self, images: Inference, hub_network: Network) -> None:
        run = {"network": hub_network.name, "tmpfs": SMALL_MODELS_DIR}
        line = failure_line(images.start(FROM_HUB, hub=HUB_URL, run=run), code=16)
        assert "are free" in line["error"]


class TestCachedModel:
    def test_it_is_served_again_without_any_network(
        self, images: Inference, volume: str, hub_network: Network
    ) -> None:
        def start(**run: Any) -> Container:
            run["volumes"] = {volume: {"bind": "/models", "mode": "rw"}}
            return wait_until_healthy(images.start(FROM_HUB, hub=HUB_URL, run=run))

        start(network=hub_network.name).stop()
        second = start(network_mode="none", ports={})
        assert b"the model is already there" in second.logs()
