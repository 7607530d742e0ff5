"""The conditions to use `.venv` without changes."""

from __future__ import annotations

import pytest

from toolchain.project import Project
from toolchain.setup.python_environment import PythonEnvironment, digest


@pytest.fixture
def locked(project: Project) -> Project:
    (project.root / "requirements.lock").write_text("a==1\n")
    return project


def make_environment(project: Project) -> None:
    python = project.venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")


def test_environment_without_a_stamp_is_incomplete(locked: Project) -> None:
    make_environment(locked)
    assert not PythonEnvironment(locked).find().ready


def test_an_environment_beside_the_projects_own_has_its_own_lock(locked: Project) -> None:
    make_environment(locked)
    lock = locked.root / "other.txt"
    lock.write_text("b==1\n")
    found = PythonEnvironment(locked, locked.cache / "other", lock).find()
    assert not found.ready
    assert found.what == "creating other from other.txt"


def test_environment_is_used_until_the_lock_changes(locked: Project) -> None:
    make_environment(locked)
    lock = locked.root / "requirements.lock"
    (locked.venv / ".lock-digest").write_text(digest(lock))
    assert PythonEnvironment(locked).find().ready
    lock.write_text("a==2\n")
    assert not PythonEnvironment(locked).find().ready
