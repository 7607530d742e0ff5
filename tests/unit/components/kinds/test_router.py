"""Several models in one inference container: what the containers, gateway and monitor get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from app.chat.settings import GatewaySettings
from app.inference.settings import RouterSettings
from app.monitor.settings import Settings
from tests.doubles.recording_engine import Graph, StackRunner

MODELS = """
models:
  small: {description: Small, path: /models/small.gguf, size: 400000000, context: 2048, slots: 2}
  large: {description: Large, path: /models/large.gguf, size: 900000000, context: 4096, slots: 1}
  vectors:
    description: Vectors
    path: /models/vectors.gguf
    size: 100000000
    context: 512
    slots: 4
    task: embedding
    idle_sleep: 60
    options: {--temp: "0"}
  alone: {description: Alone, path: /models/alone.gguf, context: 2048, slots: 1, idle_sleep: 300}
  bundled: {description: In the image, bundled: tiny, context: 2048, slots: 1}
services:
  chat-interface: {kind: chat, description: Chat, memory: 1GiB, cpus: 1}
"""
ROUTER = """
  several:
    kind: inference
    description: Several
    models: [small, large, vectors]
    max_loaded: 2
    memory: 2GiB
    cpus: 2
"""
ALONE = """
  alone-inference: {kind: inference, description: Alone, model: alone, memory: 1GiB, cpus: 1}
"""
STACK: dict[str, Any] = {
    "services": ["chat-interface", "several", "alone-inference"],
    "monitor": {"restarts": False},
}


class Catalogue:
    """The services.yaml of the program that a test runs."""

    def __init__(self, path: Path, run: StackRunner) -> None:
        self._path = path
        self._run = run

    def run(self, *services: str, models: str = MODELS) -> Graph:
        self._path.write_text("".join((models, *services)))
        return self._run(STACK)

    def refusal(self, *services: str, models: str = MODELS) -> str:
        with pytest.raises(pulumi.RunError) as refused:
            self.run(*services, models=models)
        return str(refused.value)


@pytest.fixture
def catalogue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run_program: StackRunner
) -> Catalogue:
    path = tmp_path / "services.yaml"
    monkeypatch.setattr("components.plan.loading.CATALOGUE", path)
    return Catalogue(path, run_program)


def config(graph: Graph, service: str, file: str) -> dict[str, Any]:
    uploads = graph.of("Container")[f"{service}-config-carrier"].inputs["uploads"]
    [content] = [one["content"] for one in uploads if one["file"].endswith(file)]
    parsed: dict[str, Any] = json.loads(content)
    return parsed


def test_the_container_gets_all_models_and_how_many_are_loaded(catalogue: Catalogue) -> None:
    written = config(catalogue.run(ROUTER, ALONE), "several", "model.json")
    read = RouterSettings.model_validate(written)
    assert read.max_loaded == 2
    assert [model.name for model in read.models] == ["small", "large", "vectors"]
    assert read.models[2].idle_sleep == 60


def test_the_gateway_gets_each_model_with_its_own_slots(catalogue: Catalogue) -> None:
    written = catalogue.run(ROUTER, ALONE).settings("chat-interface")
    read = GatewaySettings.model_validate(written)
    [router] = read.routers
    assert (router.name, router.urls, router.max_loaded) == ("several", ("http://several:8000",), 2)
    assert router.status_port == 8001
    assert [(one.id, one.slots, one.context) for one in router.models] == [
        ("small", 2, 2048),
        ("large", 1, 4096),
        ("vectors", 4, 512),
    ]
    assert [[*one.tasks] for one in router.models][1:] == [["chat", "completion"], ["embedding"]]
    [alone] = read.models
    assert (alone.id, alone.sleeps) == ("alone", True)


def test_the_monitor_sends_no_test_request_that_would_load_a_model(catalogue: Catalogue) -> None:
    read = Settings.model_validate(catalogue.run(ROUTER, ALONE).settings("monitor"))
    services = {service.name: service for service in read.services}
    assert services["several"].routes
    assert services["alone-inference"].sleeps
    assert set(services["chat-interface"].depends_on) == {"several", "alone-inference"}


def test_the_memory_has_to_hold_the_largest_models_that_are_loaded_at_once(
    catalogue: Catalogue,
) -> None:
    refusal = catalogue.refusal(ROUTER.replace("2GiB", "1200MiB"), ALONE)
    assert "services.several.memory: cannot hold the models 'large', which needs " in refusal
    assert "and 'small', which needs weights 382 MiB" in refusal
    assert "found '1200MiB'; allowed: at least 1677MiB" in refusal
    assert catalogue.run(ROUTER.replace("2GiB", "1200MiB").replace("max_loaded: 2", ""), ALONE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[small,", "[smal,"), "services.several.models.0: is not a model of the catalogue"),
        (("[small,", "[small, small,"), "lists a model twice in models"),
        (("max_loaded: 2", "max_loaded: 4"), "has max_loaded: 4 for fewer models"),
        (("max_loaded: 2", "model: small"), "does not have one of model and models"),
        (("[small,", "[bundled,"), "mixes models of an image with others"),
        (("[small,", "[alone,"), "services.several.models.0: is a model of alone-inference too"),
    ],
)
def test_what_cannot_work_is_refused(
    catalogue: Catalogue, change: tuple[str, str], message: str
) -> None:
    assert message in catalogue.refusal(ROUTER.replace(*change), ALONE)


def test_an_option_that_would_end_at_a_comment_is_refused(catalogue: Catalogue) -> None:
    models = MODELS.replace('{--temp: "0"}', '{--override-kv: "a=str:x;y"}')
    refusal = catalogue.refusal(ROUTER, ALONE, models=models)
    assert "the option --override-kv of 'vectors' cannot be written" in refusal
