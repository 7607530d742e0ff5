"""The warning of a machine that cannot hold a service twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.catalog import load_catalog
from components.memory import GIBIBYTE, engine_memory, memory_warning
from components.plan import Plan, make_plan
from components.settings import StackSecrets, StackSettings

from .conftest import PROJECT_ROOT


def plan(**settings: Any) -> Plan:
    values = {"services": ["chat-interface", "phi-inference", "qwen-inference"], **settings}
    catalogue = load_catalog(Path(PROJECT_ROOT / "services.yaml"))
    return make_plan("dev", StackSettings.model_validate(values), StackSecrets(), catalogue)


def test_it_names_the_service_the_figures_and_the_command() -> None:
    assert memory_warning(plan(), 16 * GIBIBYTE) == (
        "phi-inference: an update runs its old and its new container side by side, which may take "
        "17.5 GiB (10.5 GiB for all services, 7.0 GiB for it once more), and the engine's machine "
        "has 16.0 GiB; to stop the old one first, run: "
        "pulumi config set --path 'llm-stack:updates.phi-inference' recreate"
    )


def test_nothing_is_said_where_the_largest_service_fits_twice() -> None:
    assert memory_warning(plan(), 18 * GIBIBYTE) is None


def test_the_next_one_counts_where_the_largest_goes_first_or_holds_a_host_port() -> None:
    recreated = plan(updates={"phi-inference": "recreate"})
    assert memory_warning(recreated, 14 * GIBIBYTE) is None
    told = memory_warning(recreated, 13 * GIBIBYTE)
    assert told is not None
    assert told.startswith("qwen-inference: ")
    ports = {"phi-inference": 8001, "qwen-inference": 8002, "chat-interface": 8080}
    assert memory_warning(plan(hostPorts=ports), GIBIBYTE) is None


def test_an_engine_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    assert engine_memory(f"unix://{tmp_path}/no.sock") is None


@pytest.mark.parametrize("host", ["ssh://nobody@127.0.0.1:1", "tcp://127.0.0.1:1"])
def test_neither_is_one_that_cannot_be_reached(host: str) -> None:
    assert engine_memory(host) is None


def test_the_engine_of_this_machine_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("components.memory.engine_info", lambda host, timeout: {"MemTotal": 1})
    assert (engine_memory(None) or 0) > GIBIBYTE // 4
    assert engine_memory("tcp://127.0.0.1:1") == 1
