"""What is done about the engine, decided from what was seen."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.setup import docker_engine
from toolchain.setup.docker_engine import Action, DockerEngine, Facts, decide, explain
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step

NOTHING = Facts(
    version=None,
    refused=False,
    client=False,
    daemon=False,
    systemd=False,
    root=True,
    debian=True,
    linux=True,
    remote=None,
)
INSTALLED = replace(NOTHING, client=True, daemon=True)


@pytest.mark.parametrize(
    ("facts", "action"),
    [
        (replace(INSTALLED, version="28.0.0"), Action.NONE),
        (replace(NOTHING, version="28.0.0", remote="tcp://elsewhere:2376"), Action.NONE),
        (replace(INSTALLED, systemd=True), Action.START_SERVICE),
        (replace(INSTALLED, systemd=True, root=False), Action.START_SERVICE),
        (INSTALLED, Action.START_BY_HAND),
        (NOTHING, Action.INSTALL),
        (replace(NOTHING, client=True), Action.INSTALL),
        (replace(NOTHING, root=False), Action.INSTALL),
    ],
)
def test_what_can_be_done_is_done(facts: Facts, action: Action) -> None:
    assert decide(facts) is action


@pytest.mark.parametrize(
    ("facts", "advice"),
    [
        (replace(NOTHING, debian=False), "https://docs.docker.com/engine/install/"),
        (replace(INSTALLED, refused=True, root=False), "usermod -aG docker"),
        (replace(INSTALLED, root=False), "Start it as root: dockerd"),
        (replace(NOTHING, linux=False), "Docker Desktop"),
        (replace(INSTALLED, remote="tcp://elsewhere:2376"), "tcp://elsewhere:2376"),
    ],
)
def test_a_person_is_told_what_only_a_person_can_do(facts: Facts, advice: str) -> None:
    assert decide(facts) is Action.EXPLAIN
    assert advice in explain(facts)


def test_an_engine_that_cannot_be_had_ends_the_step(project: Project, step: Step) -> None:
    facts = replace(NOTHING, debian=False)
    with pytest.raises(SetupError, match="Docker Engine is missing"):
        DockerEngine(project, lambda: facts).make(step)


def test_an_engine_that_answers_is_left_alone(project: Project) -> None:
    finding = DockerEngine(project, lambda: replace(INSTALLED, version="28.0.0")).find()
    assert finding.ready
    assert "28.0.0" in finding.what


class Installation:
    """A machine on which `apt` brings an engine that systemd starts, and what is run there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: str, data: Path) -> None:
        self.version = version
        self.installed = False
        self.ran: list[str] = []
        self.stores: list[str] = []
        monkeypatch.setattr(docker_engine, "ENGINE_DATA", data)
        monkeypatch.setattr(docker_engine.debian, "install", self._install)
        monkeypatch.setattr(docker_engine, "installed_version", lambda: version)
        monkeypatch.setattr(docker_engine, "set_classic_store", self._set_classic_store)
        monkeypatch.setattr(
            docker_engine, "follow", lambda args, log: self.ran.append(" ".join(args))
        )

    def engine(self, project: Project) -> DockerEngine:
        return DockerEngine(project, self._look, lambda: {"ServerVersion": self.version})

    def _look(self) -> Facts:
        facts = replace(NOTHING, systemd=True)
        return replace(facts, version=self.version) if self.installed else facts

    def _install(self, *_: object, **__: object) -> None:
        self.installed = True

    def _set_classic_store(self, log: Path, *, root: bool, engine_version: str) -> bool:
        self.stores.append(engine_version)
        return engine_version.startswith("29.")


def test_an_engine_that_was_installed_just_now_gets_the_store_that_builds_need(
    project: Project, step: Step, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Installation(monkeypatch, "29.0.1", tmp_path / "none")
    machine.engine(project).make(step)
    assert machine.stores == ["29.0.1"]
    assert machine.ran == ["systemctl restart docker"]


def test_not_where_an_earlier_engine_left_its_images(
    project: Project, step: Step, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Installation(monkeypatch, "29.0.1", tmp_path)
    machine.engine(project).make(step)
    assert machine.stores == machine.ran == []


def test_an_installed_engine_that_opens_local_ports_is_warned_of(
    project: Project,
    step: Step,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    machine = Installation(monkeypatch, "20.10.24+dfsg1", tmp_path / "none")
    machine.engine(project).make(step)
    assert machine.ran == [], "the package has started it"
    assert "warning: Engine version: 20.10.24+dfsg1 lets other machines" in out.getvalue()
    machine = Installation(monkeypatch, "28.0.0", tmp_path / "none")
    machine.engine(project).make(step)
    assert out.getvalue().count("warning: ") == 1
