"""Problems and warnings about a machine without memory for its models, or for two instances of a
service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.config.field_types import GIBIBYTE
from components.config.loading import LoadedSettings
from components.config.problems import Source
from components.config.schema import read
from components.config.stack_secrets import StackSecrets
from components.config.stack_settings import StackSettings
from components.engine.info import EngineInfo
from components.kinds.catalogue import load_catalogue
from components.plan.plan import Plan
from components.plan.validation import make_plan
from components.preflight.memory import (
    memory_problems,
    memory_warning,
    models_warning,
    sum_warning,
    warn_of_memory,
)
from tests.unit.components.conftest import PROJECT_ROOT


def plan(catalogue: Path = PROJECT_ROOT / "services.yaml", **settings: Any) -> Plan:
    values = {"services": ["chat-interface", "phi-inference", "qwen-inference"], **settings}
    source = Source("Pulumi.dev.yaml", "llm-stack:")
    reading = read(StackSettings, values, source)
    loaded = LoadedSettings(source, reading, StackSecrets(), reading.problems)
    return make_plan("dev", loaded, load_catalogue(catalogue))


def test_the_warning_has_the_service_the_sizes_and_the_command() -> None:
    assert memory_warning(plan(), 16 * GIBIBYTE) == (
        "phi-inference: an update runs its old and its new container side by side, which may take "
        "17.5 GiB (10.5 GiB for all services, 7.0 GiB for it once more), and the engine's machine "
        "has 16.0 GiB; to stop the old one first, run: "
        "pulumi config set --path 'llm-stack:updates.phi-inference' recreate"
    )


def test_there_is_no_warning_when_the_largest_service_fits_twice() -> None:
    assert memory_warning(plan(), 18 * GIBIBYTE) is None


def test_services_that_never_run_twice_are_ignored() -> None:
    recreated = plan(updates={"phi-inference": "recreate"})
    assert memory_warning(recreated, 14 * GIBIBYTE) is None
    warning = memory_warning(recreated, 13 * GIBIBYTE)
    assert warning is not None
    assert warning.startswith("qwen-inference: ")
    ports = {"phi-inference": 8001, "qwen-inference": 8002, "chat-interface": 8080}
    assert memory_warning(plan(hostPorts=ports), GIBIBYTE) is None


def test_limits_that_add_up_to_more_than_the_machine_has_are_a_warning() -> None:
    assert sum_warning(plan(), 10 * GIBIBYTE) == (
        "the services may use 10.5 GiB of memory together, and the engine's machine has 10.0 GiB: "
        "it may end a container when all of them need theirs; lower memory in services.yaml, or "
        "leave a service off"
    )
    assert sum_warning(plan(), 11 * GIBIBYTE) is None


def warnings(monkeypatch: pytest.MonkeyPatch, info: EngineInfo | None, **settings: Any) -> int:
    """The number of warnings for the stack on an engine."""
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    warn_of_memory(plan(**settings), info)
    return len(warnings)


def test_the_warning_needs_an_engine_that_reports_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert warnings(monkeypatch, EngineInfo(memory=16 * GIBIBYTE)) == 1
    assert warnings(monkeypatch, EngineInfo(memory=18 * GIBIBYTE)) == 0
    ports = {"phi-inference": 8001, "qwen-inference": 8002, "chat-interface": 8080}
    assert warnings(monkeypatch, EngineInfo(memory=10 * GIBIBYTE), hostPorts=ports) == 1
    assert warnings(monkeypatch, EngineInfo()) == 0
    assert warnings(monkeypatch, None) == 0


def problems(info: EngineInfo | None, **settings: Any) -> list[str]:
    return [str(problem) for problem in memory_problems(plan(**settings), info)]


def test_a_model_that_the_machine_cannot_hold_alone_is_a_problem() -> None:
    [problem] = problems(EngineInfo(memory=2 * GIBIBYTE))
    assert re.fullmatch(
        r"services.yaml:\d+: services.phi-inference.model: needs \d.\d GiB of memory, and the "
        r"engine's machine has 2.0 GiB: weights 2283 MiB, .*buffers and llama-server \d+ MiB; found "
        r"'phi-3-mini'; allowed: a smaller model, or one with a smaller context or fewer slots",
        problem,
    )


def test_a_model_that_fits_alone_is_no_problem() -> None:
    assert problems(EngineInfo(memory=8 * GIBIBYTE)) == []
    assert problems(EngineInfo()) == []
    assert problems(None) == []


def test_the_placeholder_counts_in_place_of_its_model() -> None:
    assert problems(EngineInfo(memory=GIBIBYTE), placeholderModel="smollm2-135m") == []


def test_a_swarm_finds_a_node_with_enough_memory() -> None:
    swarm = {"orchestrator": "swarm", "swarm": {"singleNode": True}}
    assert problems(EngineInfo(memory=GIBIBYTE), **swarm) == []


def test_the_warning_lists_the_models_that_do_not_fit_together() -> None:
    warning = models_warning(plan(), 3 * GIBIBYTE)
    assert warning is not None
    assert re.fullmatch(
        r"the models need \d.\d GiB of memory \(phi-inference \d.\d GiB, qwen-inference \d.\d GiB\), "
        r"and the engine's machine has 3.0 GiB: .*",
        warning,
    )
    assert models_warning(plan(), 16 * GIBIBYTE) is None


def test_there_is_one_warning_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings(monkeypatch, EngineInfo(memory=3 * GIBIBYTE)) == 1


ROUTER = """
models:
  small: {description: Small, path: /a.gguf, size: 1000000000, context: 512, slots: 1}
  large: {description: Large, path: /b.gguf, size: 3000000000, context: 512, slots: 1}
services:
  several:
    kind: inference
    description: Several
    models: [small, large]
    max_loaded: MOST
    memory: 6GiB
    cpus: 1
"""


@pytest.mark.parametrize(("most", "gigabytes"), [(1, 3), (2, 4)])
def test_of_several_models_those_count_that_are_in_memory_at_once(
    tmp_path: Path, most: int, gigabytes: int
) -> None:
    catalogue = tmp_path / "services.yaml"
    catalogue.write_text(ROUTER.replace("MOST", str(most)))
    several = plan(catalogue=catalogue, services=["several"])
    assert models_warning(several, int((gigabytes + 0.6) * 10**9)) is None
    assert models_warning(several, gigabytes * 10**9)


def test_a_model_of_several_that_cannot_fit_is_a_problem_of_models(tmp_path: Path) -> None:
    catalogue = tmp_path / "services.yaml"
    catalogue.write_text(ROUTER.replace("MOST", "1"))
    several = plan(catalogue=catalogue, services=["several"])
    [problem] = memory_problems(several, EngineInfo(memory=2 * GIBIBYTE))
    assert "services.several.models: needs " in str(problem)
    assert "found 'large'" in str(problem)
