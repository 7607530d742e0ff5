"""The limit on the processes of one container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.runtime.container_options import ContainerOptions
from components.runtime.docker.orchestrator import process_limit
from components.runtime.docker.process_limit import limit_processes
from tests.doubles.docker_api import docker_at


@pytest.mark.parametrize(("status", "warned"), [(200, 0), (409, 1)])
def test_the_engine_is_asked_for_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, warned: int
) -> None:
    asked = []

    def answer(method: str, target: str) -> tuple[int, Any]:
        if target == "/version":
            return 200, {"ApiVersion": "1.41"}
        asked.append(f"{method} {target}")
        return status, {"message": "no such cgroup"}

    warnings: list[str] = []
    monkeypatch.setattr("components.runtime.docker.process_limit.pulumi.log.warn", warnings.append)
    with docker_at(tmp_path / "d.sock") as engine:
        engine.answer = answer  # type: ignore[method-assign]
        limit_processes("0a1b2c", 1024, f"unix://{tmp_path}/d.sock")
    assert asked == ["POST /v1.41/containers/0a1b2c/update"]
    assert len(warnings) == warned


@pytest.mark.parametrize(
    ("ulimits", "limit"),
    [
        ({}, 1024),
        ({"nproc": (50, 100)}, 100),
        ({"nproc": (-1, -1)}, None),
        ({"core": (0, 0)}, 1024),
    ],
)
def test_an_entry_may_have_its_own_limit(
    ulimits: dict[str, tuple[int, int]], limit: int | None
) -> None:
    assert process_limit(ContainerOptions(ulimits=ulimits)) == limit
