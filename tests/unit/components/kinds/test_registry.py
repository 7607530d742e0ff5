"""The registry of service kinds: a new kind is one module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import components.kinds
from components.kinds.catalogue import load_catalogue
from components.kinds.registry import kinds
from tests.doubles.recording_engine import StackRunner

CLOCK = '''
"""Kind `clock`: the time of a zone."""

from typing import Literal

from components.config.field_types import Port
from components.kinds.service import LocalService, Stack
from components.kinds.workload import Workload


class ClockService(LocalService):
    """Answers with the time."""

    kind: Literal["clock"] = "clock"
    port: Port = 8000
    start_timeout: int = 60
    zone: str

    def workload(self, name: str, stack: Stack) -> Workload:
        return Workload(image="carrier", stop_grace=5, environment={"ZONE": self.zone})

    def health_check(self, host: str) -> dict[str, object]:
        return {"kind": "http", "url": f"http://{host}:{self.port}/now"}
'''
CATALOGUE = """\
models: {}
services:
  berlin:
    kind: clock
    description: The time in Berlin
    zone: Europe/Berlin
    memory: 64MiB
    cpus: 0.1
"""


@pytest.fixture
def clock_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "clock.py").write_text(CLOCK, encoding="utf-8")
    monkeypatch.setattr(components.kinds, "__path__", [*components.kinds.__path__, str(tmp_path)])
    kinds.cache_clear()
    yield
    sys.modules.pop("components.kinds.clock", None)
    kinds.cache_clear()


@pytest.mark.usefixtures("clock_kind")
def test_a_new_kind_needs_only_a_module_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_program: StackRunner
) -> None:
    path = tmp_path / "services.yaml"
    path.write_text(CATALOGUE, encoding="utf-8")
    monkeypatch.setattr("components.plan.loading.load_catalogue", lambda *_: load_catalogue(path))
    graph = run_program({"services": ["berlin"], "monitor": {"socketGroup": 999}})
    assert graph.running["berlin"].inputs["envs"] == ["ZONE=Europe/Berlin"]
    assert '"url": "http://berlin:8000/now"' in graph.list_file("monitor", "services.json")


def test_the_kinds_of_this_project() -> None:
    assert set(kinds()) == {"chat", "container", "external", "inference"}
