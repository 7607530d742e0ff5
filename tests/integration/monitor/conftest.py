"""Images for the chaos tests, and the table of their results."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.monitor.rig import Rig

ROOT = Path(__file__).parents[3]

ROWS: list[tuple[str, float | None, float | None, int]] = []


@pytest.fixture(scope="session")
def images(buildkit: Callable[..., Any]) -> dict[str, str]:
    """The two images; MONITOR_IMAGE and RESTARTER_IMAGE name existing ones."""
    found = {}
    for name in ("monitor", "restarter"):
        found[name] = os.environ.get(f"{name.upper()}_IMAGE", f"llm-stack-test/{name}")
        if found[name].startswith("llm-stack-test/"):
            file = ROOT / f"docker/{name}.Dockerfile"
            buildkit(
                "-q",
                "-t",
                found[name],
                "-f",
                str(file),
                str(ROOT / "app"),
                stdout=subprocess.DEVNULL,
            )
    return found


MakeRig = Callable[[], Rig]


@pytest.fixture(scope="session")
def patient_engine() -> Iterator[docker.DockerClient]:
    """A client with a long timeout: an engine with many containers may take minutes to start one."""
    client = docker.from_env(timeout=300)
    yield client
    client.close()


@pytest.fixture(scope="module")
def make_rig(
    patient_engine: docker.DockerClient,
    images: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MakeRig]:
    """Makes rigs that are removed at the end, also after a failure."""
    rigs: list[Rig] = []

    def make() -> Rig:
        rigs.append(Rig(patient_engine, images, tmp_path_factory.mktemp("rig")))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.remove()


@pytest.fixture
def row() -> Callable[..., None]:
    """Adds a row to the table: fault, seconds to detect and to recover, restarts."""

    def note(
        fault: str, *, began: float, detected: float | None, recovered: float | None, restarts: int
    ) -> None:
        ROWS.append(
            (
                fault,
                None if detected is None else detected - began,
                None if recovered is None else recovered - began,
                restarts,
            )
        )

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table."""
    if not ROWS:
        return
    terminalreporter.section("chaos (checks every 1 s, some 20 times as fast as the defaults)")
    terminalreporter.line(f"{'fault':<48} {'detected':>10} {'recovered':>10} {'restarts':>9}")
    for fault, detected, recovered, restarts in ROWS:
        texts = ["-" if at is None else f"{at:.1f} s" for at in (detected, recovered)]
        terminalreporter.line(f"{fault:<48} {texts[0]:>10} {texts[1]:>10} {restarts:>9}")
