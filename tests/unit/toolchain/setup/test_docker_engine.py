"""Docker Engine: the decision what to do, and its installation."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.setup import debian, docker_engine
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
        (INSTALLED, Action.START_DAEMON),
        (NOTHING, Action.INSTALL),
        (replace(NOTHING, client=True), Action.INSTALL),
        (replace(NOTHING, root=False), Action.INSTALL),
    ],
)
def test_action_by_facts(facts: Facts, action: Action) -> None:
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
def test_explanation_of_what_the_user_has_to_do(facts: Facts, advice: str) -> None:
    assert decide(facts) is Action.EXPLAIN
    assert advice in explain(facts)


def test_engine_that_cannot_be_installed_is_an_error(project: Project, step: Step) -> None:
    facts = replace(NOTHING, debian=False)
    with pytest.raises(SetupError, match="Docker Engine is not installed"):
        DockerEngine(project, lambda: facts).make(step)


def test_running_engine_is_not_changed(project: Project) -> None:
    finding = DockerEngine(project, lambda: replace(INSTALLED, version="28.0.0")).find()
    assert finding.ready
    assert "28.0.0" in finding.what


class Installation:
    """A fake machine where apt installs an engine and systemd starts it; records commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: str, data: Path) -> None:
        self.version = version
        self.installed = False
        self.ran: list[str] = []
        self.stores: list[str] = []
        monkeypatch.setattr(docker_engine, "ENGINE_DATA", data)
        monkeypatch.setattr(debian, "install", self._install)
        monkeypatch.setattr(docker_engine, "installed_version", lambda: version)
        monkeypatch.setattr(docker_engine, "set_classic_store", self._set_classic_store)
        monkeypatch.setattr(
            docker_engine, "follow", lambda args, log: self.ran.append(" ".join(args))
        )

    def engine(self, project: Project) -> DockerEngine:
        return DockerEngine(project, self._read_facts, lambda: {"ServerVersion": self.version})

    def _read_facts(self) -> Facts:
        facts = replace(NOTHING, systemd=True)
        return replace(facts, version=self.version) if self.installed else facts

    def _install(self, *_: object, **__: object) -> None:
        self.installed = True

    def _set_classic_store(self, log: Path, *, root: bool, engine_version: str) -> bool:
        self.stores.append(engine_version)
        return engine_version.startswith("29.")


def test_newly_installed_engine_gets_the_classic_store(
    project: Project, step: Step, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Installation(monkeypatch, "29.0.1", tmp_path / "none")
    machine.engine(project).make(step)
    assert machine.stores == ["29.0.1"]
    assert machine.ran == ["systemctl restart docker"]


def test_store_is_kept_if_an_earlier_engine_left_images(
    project: Project, step: Step, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Installation(monkeypatch, "29.0.1", tmp_path)
    machine.engine(project).make(step)
    assert machine.stores == machine.ran == []


def test_installed_engine_with_open_local_ports_is_reported(
    project: Project,
    step: Step,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    machine = Installation(monkeypatch, "20.10.24+dfsg1", tmp_path / "none")
    machine.engine(project).make(step)
    assert machine.ran == [], "the package starts the service"
    assert "warning: Engine version: 20.10.24+dfsg1 lets other machines" in out.getvalue()
    machine = Installation(monkeypatch, "28.0.0", tmp_path / "none")
    machine.engine(project).make(step)
    assert out.getvalue().count("warning: ") == 1
