"""Services of kind `inference`: what their container, the gateway and the monitor receive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from app.chat.settings import GatewaySettings
from app.inference.settings import ModelSettings
from app.monitor.settings import Settings as MonitorSettings
from components.kinds.catalogue import load_catalogue
from tests.doubles.recording_engine import Graph, StackRunner
from tests.unit.components.conftest import PROJECT_ROOT

DIGEST = "ab" * 32
HUB = {"repository": "someone/m-gguf", "revision": "main"}
M = {"description": "A model", "context": 2048, "slots": 2}
WHOLE = {**M, **HUB, "file": "m.gguf", "sha256": DIGEST, "sha256_origin": "published"}
SERVICE = {"kind": "inference", "description": "M", "model": "m", "memory": "2GiB", "cpus": 2}
STACK = {"services": ["chat-interface", "m-inference"], "monitor": {"socketGroup": 999}}
Run = Callable[..., Graph]


@pytest.fixture
def run_model(run_program: StackRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program with a catalogue that has one more model, and a service of it."""

    def run(model: dict[str, Any], stack: dict[str, Any] | None = None, **service: Any) -> Graph:
        path = tmp_path / "services.yaml"
        content = yaml.safe_load((PROJECT_ROOT / "services.yaml").read_text(encoding="utf-8"))
        content["models"]["m"] = model
        content["services"]["m-inference"] = {**SERVICE, **service}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        monkeypatch.setattr(
            "components.plan.loading.load_catalogue", lambda *_: load_catalogue(path)
        )
        return run_program({**STACK, **(stack or {})})

    return run


def model_json(graph: Graph) -> ModelSettings:
    """As the program in the container reads it."""
    content = json.loads(graph.config_file("m-inference", "model.json"))
    return ModelSettings.model_validate(content)


def watched(graph: Graph) -> Any:
    services = MonitorSettings.model_validate(graph.settings("monitor")).services
    return next(service for service in services if service.name == "m-inference")


def offered(graph: Graph) -> Any:
    """The model as the gateway reads it."""
    (model,) = GatewaySettings.model_validate(graph.settings("chat-interface")).models
    return model


def test_a_chat_model_has_no_settings_but_its_own(run_model: Run) -> None:
    graph = run_model(WHOLE)
    assert json.loads(graph.config_file("m-inference", "model.json")) == {
        "name": "m",
        "context": 2048,
        "slots": 2,
        "files": [{"role": "model", **HUB, "file": "m.gguf", "sha256": DIGEST}],
    }
    assert model_json(graph).threads == 0
    assert (watched(graph).generates, watched(graph).sleeps) == (True, False)
    assert offered(graph).tasks == ("chat", "completion")


def test_the_threads_of_the_model_come_before_those_of_the_service(run_model: Run) -> None:
    assert model_json(run_model(WHOLE, threads=3)).threads == 3
    assert model_json(run_model({**WHOLE, "threads": 5}, threads=3)).threads == 5


def test_the_parts_of_a_split_model_are_in_their_order(run_model: Run) -> None:
    names = [f"m-0000{number}-of-00003.gguf" for number in (3, 1, 2)]
    files = [{"file": name, "sha256": DIGEST, "size": 10} for name in names]
    model = model_json(run_model({**M, **HUB, "files": files, "sha256_origin": "published"}))
    assert [file.file for file in model.files] == sorted(names)
    assert {(file.repository, file.revision) for file in model.files} == {tuple(HUB.values())}


def test_a_split_model_in_the_container_has_all_its_parts(run_model: Run) -> None:
    graph = run_model(
        {**M, "path": "/models/m-00001-of-00002.gguf", "sha256": DIGEST}
        | {"sha256_origin": "downloaded"}
    )
    first, second = model_json(graph).files
    assert (str(first.path), first.sha256) == ("/models/m-00001-of-00002.gguf", DIGEST)
    assert (str(second.path), second.sha256) == ("/models/m-00002-of-00002.gguf", None)


def test_files_beside_the_model_are_in_its_repository_unless_they_have_another(
    run_model: Run,
) -> None:
    model = model_json(
        run_model(
            {
                **WHOLE,
                "projector": {"file": "p.gguf", "sha256": DIGEST, "size": 7},
                "draft": {"path": "/models/d.gguf"},
                "adapters": [
                    {
                        "repository": "other/a",
                        "revision": "v1",
                        "file": "a.gguf",
                        "sha256_origin": "unknown",
                        "scale": 0.5,
                    }
                ],
            }
        )
    )
    _, projector, draft, adapter = model.files
    assert (projector.role, projector.repository, projector.size) == (
        "projector",
        HUB["repository"],
        7,
    )
    assert (draft.role, str(draft.path)) == ("draft", "/models/d.gguf")
    assert (adapter.role, adapter.repository, adapter.revision) == ("adapter", "other/a", "v1")
    assert (adapter.scale, adapter.sha256) == (0.5, None)


def test_a_chat_template_is_a_file_beside_model_json(run_model: Run) -> None:
    template = "tests/integration/models/tools.jinja"
    graph = run_model({**WHOLE, "chat_template": f"./{template}"})
    assert model_json(graph).chat_template == "chat_template.jinja"
    text = (PROJECT_ROOT / template).read_text(encoding="utf-8")
    assert graph.config_file("m-inference", "chat_template.jinja") == text


@pytest.mark.parametrize(
    ("keys", "settings"),
    [
        ({"reasoning": False}, {"reasoning": "off"}),
        ({"reasoning": "auto"}, {"reasoning": "auto"}),
        ({"reasoning": {"budget": 512}}, {"reasoning_budget": 512, "reasoning": None}),
        ({"cache_type": "q8_0"}, {"cache_type": "q8_0"}),
        ({"flash_attention": True}, {"flash_attention": "on"}),
        ({"idle_sleep": 300}, {"idle_sleep": 300}),
        ({"task": "embedding", "pooling": "cls"}, {"task": "embedding", "pooling": "cls"}),
        ({"options": {"--no-warmup": True}}, {"options": ("--no-warmup",)}),
        ({"options": {"--n-cpu-moe": 12}}, {"options": ("--n-cpu-moe", "12")}),
    ],
)
def test_a_key_of_the_model_reaches_the_container(
    run_model: Run, keys: dict[str, Any], settings: dict[str, Any]
) -> None:
    model = model_json(run_model({**WHOLE, **keys}))
    assert {name: getattr(model, name) for name in settings} == settings


@pytest.mark.parametrize("task", ["embedding", "rerank"])
def test_a_model_with_another_task_is_offered_for_it_and_gets_no_test_request(
    run_model: Run, task: str
) -> None:
    graph = run_model({**WHOLE, "task": task})
    assert offered(graph).tasks == (task,)
    assert watched(graph).generates is False


def test_the_monitor_leaves_a_model_asleep_that_sleeps_when_idle(run_model: Run) -> None:
    assert watched(run_model({**WHOLE, "idle_sleep": 300})).sleeps is True


def test_a_placeholder_has_the_task_of_the_model_and_none_of_its_files(run_model: Run) -> None:
    graph = run_model(
        {
            **WHOLE,
            "task": "embedding",
            "pooling": "mean",
            "adapters": [{"file": "a.gguf", "sha256": DIGEST}],
            "options": {"--no-warmup": True},
        },
        {"placeholderModel": "smollm2-135m"},
    )
    model = model_json(graph)
    assert [str(file.path) for file in model.files] == ["/opt/models/smollm2-135m.gguf"]
    assert (model.task, model.pooling, model.options) == ("embedding", "mean", ())
    assert offered(graph).tasks == ("embedding",)
    assert offered(graph).placeholder is not None


def test_the_memory_has_to_hold_every_file(run_model: Run) -> None:
    model = {
        **WHOLE,
        "size": 1_500_000_000,
        "projector": {"file": "p.gguf", "sha256": DIGEST, "size": 1_000_000_000},
    }
    with pytest.raises(pulumi.RunError, match=r"m-inference\.memory: cannot hold the model 'm'"):
        run_model(model)
    assert run_model(model, memory="4GiB")


def test_a_file_of_the_machine_is_mounted_and_not_fetched(run_model: Run) -> None:
    model = {**M, "path": "/srv/models/m.gguf", "sha256": DIGEST, "sha256_origin": "downloaded"}
    graph = run_model(model, volumes=["/srv/models:/srv/models"])
    mounted = {
        one["containerPath"]: (one.get("hostPath"), one["readOnly"])
        for one in graph.running["m-inference"].inputs["volumes"]
    }
    assert mounted["/srv/models"] == ("/srv/models", True)
    assert "m-inference-fetch" not in graph.running
    assert str(model_json(graph).files[0].path) == "/srv/models/m.gguf"


@pytest.mark.parametrize(
    "volume", ["data:/data", "./catalog:/data", "/srv/models:/srv/models:rw", "/srv/a:/models"]
)
def test_a_model_server_only_reads_folders_of_the_machine(run_model: Run, volume: str) -> None:
    model = {**M, "path": "/srv/models/m.gguf", "sha256": DIGEST, "sha256_origin": "downloaded"}
    with pytest.raises(pulumi.RunError, match=r"allowed: ('/srv/models:/srv/models'|another path)"):
        run_model(model, volumes=[volume])
