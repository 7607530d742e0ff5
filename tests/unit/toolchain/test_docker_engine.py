"""What is done about the engine, decided from what was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolchain.docker_engine import Action, DockerEngine, Facts, decide, explain
from toolchain.errors import SetupError
from toolchain.progress import Step
from toolchain.project import Project

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
