"""Fixtures: a project in a temporary folder, fake programs, and a step with readable output."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.terminal.progress import Progress, Step


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "checkout"
    root.mkdir()
    project = Project(root=root, cache=tmp_path / "cache")
    project.stack_config_example.write_text("config: {}\n", encoding="utf-8")
    return project


@pytest.fixture
def program(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Creates a fake program from a shell script, first on PATH of the commands."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    project.bin.mkdir(parents=True)

    def put(name: str, script: str) -> None:
        path = project.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    return put


@pytest.fixture
def pulumi(program: Callable[[str, str], None]) -> Callable[..., None]:
    """Creates a fake pulumi with one stack, `prod`, with the given settings and no resources."""

    def create(**settings: str) -> None:
        values = "\n".join(f"    *' {key} '*) echo {value} ;;" for key, value in settings.items())
        program(
            "pulumi",
            f"""
case " $* " in
    *" --stack prod "*) ;;
    *) echo "error: no stack named 'it' found" >&2; exit 255 ;;
esac
case " $* " in
    *" stack export "*) echo '{{"deployment": {{}}}}' ;;
{values}
    *) echo "error: configuration key '$3' not found for stack 'prod'" >&2; exit 255 ;;
esac""",
        )

    return create


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(out: io.StringIO) -> Progress:
    return Progress(out)


@pytest.fixture
def step(progress: Progress) -> Step:
    return Step("Thing", progress, lambda: 0.0)
