"""Folders and devices of the machine that services use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.engine.info import EngineInfo
from tests.doubles.recording_engine import StackRunner
from tests.unit.components.conftest import Project

IMAGE = f"kind: container, image: 'redis@sha256:{'0a' * 32}'"
MISSING = "/srv/no-such-folder-of-a-test"


@pytest.fixture(autouse=True)
def local_engine(run_program: StackRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine on this machine, whatever runs the tests."""
    checks = "components.preflight.checks"
    monkeypatch.setattr(f"{checks}.ask_engine", lambda host: EngineInfo(folder="/tmp"))
    monkeypatch.setattr(f"{checks}.is_local", lambda host, info: True)


def catalogue(keys: str) -> str:
    return f"services:\n  app: {{{IMAGE}, {keys}}}\n"


def test_a_missing_folder_is_refused(project: Project) -> None:
    assert project.refusal(catalogue(f"volumes: ['a:/a', '{MISSING}:/b']")) == [
        "services.yaml:2: services.app.volumes.1: the machine does not have this file or folder; "
        f"Docker would mount an empty folder of root's in its place; found '{MISSING}'; "
        f"allowed: a path that exists; run: sudo mkdir -p {MISSING}"
    ]


def test_a_missing_folder_of_models_is_refused(project: Project) -> None:
    text = f"""
models:
  local: {{description: A model, path: {MISSING}/model.gguf, context: 2048, slots: 1}}
services:
  app:
    kind: inference
    model: local
    description: A server
    memory: 1GiB
    cpus: 1
    volumes: ['{MISSING}:{MISSING}']
"""
    (problem,) = project.refusal(text)
    assert problem.startswith("services.yaml:11: services.app.volumes.0: the machine does not have")


def test_a_missing_device_is_refused(project: Project) -> None:
    assert project.refusal(catalogue("devices: [/dev/no-such-device:/dev/dri]")) == [
        "services.yaml:2: services.app.devices.0: the machine does not have this device, and Docker "
        "refuses the container; found '/dev/no-such-device'; allowed: a device that exists; "
        "run: ls /dev"
    ]


def test_what_exists_is_not_refused(project: Project, tmp_path: Path) -> None:
    keys = f"volumes: ['{tmp_path}:/a'], devices: [/dev/null:/dev/something]"
    assert "app" in project.run(catalogue(keys)).running


def test_a_folder_that_root_writes_may_be_made_by_the_engine(project: Project) -> None:
    graph = project.run(catalogue(f"user: image, volumes: ['{MISSING}:/a:rw']"))
    assert "app" in graph.running
    assert len(project.refusal(catalogue(f"volumes: ['{MISSING}:/a:rw']"))) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("is_local", lambda host, info: False),
        ("ask_engine", lambda host: EngineInfo(folder=f"{MISSING}/docker")),
        ("ask_engine", lambda host: EngineInfo()),
    ],
)
def test_the_paths_of_another_machine_are_not_known(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    monkeypatch.setattr(f"components.preflight.checks.{name}", value)
    assert "app" in project.run(catalogue(f"volumes: ['{MISSING}:/a']")).running
