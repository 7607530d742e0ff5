"""A project in a folder of the test's own, and a step whose output can be read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from toolchain.progress import Progress, Step
from toolchain.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "checkout"
    root.mkdir()
    return Project(root=root, cache=tmp_path / "cache")


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(out: io.StringIO) -> Progress:
    return Progress(out)


@pytest.fixture
def step(progress: Progress) -> Step:
    return Step("Thing", progress, lambda: 0.0)
