"""Files beside a model, and a model in several files."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.integration.inference import (
    Inference,
    address,
    answer,
    failure_line,
    wait_until_healthy,
)
from tests.integration.models.conftest import FILES, SMOLLM2
from tests.integration.models.test_tasks import chat, text_of

PARTS = tuple(f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3))
REPOSITORY = "someone/smollm2-gguf"
# A template that repeats its message is easy to see in what llama-server makes of a conversation.
TEMPLATE = "{% for m in messages %}{{ m.content }}!{{ m.content }}!{% endfor %}"


@pytest.fixture(scope="module")
def with_everything(containers: Inference, files: Path) -> Container:
    """The model with an adapter, a projector, itself as its draft model, and a chat template."""
    return wait_until_healthy(
        containers.start(
            SMOLLM2,
            {"role": "adapter", "path": f"{FILES}/adapter.gguf", "scale": 0.25},
            {"role": "projector", "path": f"{FILES}/projector.gguf"},
            {"role": "draft", **SMOLLM2},
            more_files={"chat_template.jinja": TEMPLATE},
            chat_template="chat_template.jinja",
            run={"volumes": {str(files): {"bind": FILES, "mode": "ro"}}},
        )
    )


class TestFilesBesideTheModel:
    def test_an_adapter_is_loaded_with_its_scale(self, with_everything: Container) -> None:
        [adapter] = answer(with_everything, "/lora-adapters")
        assert adapter["path"] == f"{FILES}/adapter.gguf"
        assert adapter["scale"] == 0.25

    def test_a_projector_lets_the_model_take_images(self, with_everything: Container) -> None:
        assert answer(with_everything, "/props")["modalities"]["vision"] is True

    def test_the_tokens_of_a_draft_model_are_checked_and_taken(
        self, with_everything: Container
    ) -> None:
        story = {"prompt": "Once upon a time", "n_predict": 24, "temperature": 0}
        timings = answer(with_everything, "/completion", story)["timings"]
        assert timings["draft_n_accepted"] > 0

    def test_the_chat_template_is_that_of_the_project(self, with_everything: Container) -> None:
        messages = [{"role": "user", "content": "Hello"}]
        prompt = answer(with_everything, "/apply-template", {"messages": messages})["prompt"]
        assert prompt == "Hello!Hello!"


class Hub:
    """A network with a model hub that has the parts of the model."""

    def __init__(self, engine: docker.DockerClient, containers: Inference, files: Path) -> None:
        self._containers = containers
        self.network = engine.networks.create(f"models-test-{uuid.uuid4().hex[:8]}")
        self.digests = {
            name: hashlib.sha256((files / name).read_bytes()).hexdigest() for name in PARTS
        }
        self._container = containers.start_hub(
            REPOSITORY,
            *(f"{FILES}/{name}" for name in PARTS),
            volumes={str(files): {"bind": FILES, "mode": "ro"}},
        )
        self.network.connect(self._container, aliases=["hub", "hub-storage"])

    def start(self, **changes: Any) -> Container:
        """A container that downloads the parts; keyword arguments change the second one."""
        parts = [
            {"repository": REPOSITORY, "file": name, "sha256": digest}
            for name, digest in self.digests.items()
        ]
        parts[1] |= changes
        run = {
            "network": self.network.name,
            "tmpfs": {"/tmp": "size=64m", "/models": "size=200m,uid=10001,gid=10001"},
        }
        return self._containers.start(*parts, hub="http://hub:8080", run=run)

    def remove(self) -> None:
        self.network.reload()
        for container in self.network.containers:
            self.network.disconnect(container, force=True)
        self.network.remove()


@pytest.fixture(scope="module")
def hub(engine: docker.DockerClient, containers: Inference, files: Path) -> Iterator[Hub]:
    made = Hub(engine, containers, files)
    yield made
    made.remove()


class TestSplitModel:
    def test_it_is_loaded_from_its_parts(self, hub: Hub) -> None:
        container = wait_until_healthy(hub.start())
        assert "4" in text_of(chat(address(container)))

    def test_a_wrong_digest_names_the_part_and_both_digests(self, hub: Hub) -> None:
        line = failure_line(hub.start(sha256="00" * 32), code=12)
        assert line["error"] == (
            f"wrong SHA-256 of part 2 of 3 of the model, {PARTS[1]} on the hub: "
            f"expected {'00' * 32}, found {hub.digests[PARTS[1]]}"
        )

    def test_a_missing_part_is_named(self, hub: Hub) -> None:
        line = failure_line(hub.start(file="m-00002-of-00004.gguf"), code=14)
        assert line["error"] == (
            f"{REPOSITORY} does not have m-00002-of-00004.gguf at revision main "
            "(part 2 of 3 of the model)"
        )

    def test_a_missing_local_part_is_named(self, containers: Inference, files: Path) -> None:
        parts = [{"path": f"{FILES}/{name}"} for name in PARTS[:2]]
        run = {"volumes": {str(files): {"bind": FILES, "mode": "ro"}}}
        line = failure_line(
            containers.start(*parts, {"path": f"{FILES}/none.gguf"}, run=run), code=10
        )
        assert line["error"] == (
            f"part 3 of 3 of the model, {FILES}/none.gguf: does not exist or is not a file"
        )
