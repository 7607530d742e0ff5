"""`./dev import` starts the import in the virtual environment, and passes its exit code on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from toolchain.commands import cli, compose_import
from toolchain.project import Project
from toolchain.steps import Finding

ROOT = Path(__file__).resolve().parents[4]


class Ready:
    """An environment that is complete."""

    def __init__(self, project: Project) -> None: ...

    def find(self) -> Finding:
        return Finding(True, "complete")


def test_arguments_and_exit_code(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compose_import, "PythonEnvironment", Ready)
    python = project.venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$PYTHONPATH" "$@"\nexit 3\n')
    python.chmod(0o755)
    code = compose_import.import_compose(project, ["a b.yml", "--write"])
    assert code == 3
    assert capfd.readouterr().out == f"{project.root} -m toolchain.compose a b.yml --write\n"


def test_the_command_passes_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def import_compose(project: Project, args: list[str]) -> int:
        calls.append(args)
        return 0

    monkeypatch.setattr(cli, "import_compose", import_compose)
    assert cli.main(["import", "compose.yml", "--profile", "gpu"]) == 0
    assert calls == [["compose.yml", "--profile", "gpu"]]


@pytest.mark.parametrize("args", [["import"], ["import", "a.yml", "--wrote"]])
def test_wrong_arguments_are_an_error(args: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    assert end.value.code == 2


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["import", "--help"])
    assert end.value.code == 0
    assert "./dev import docker-compose.yml" in capsys.readouterr().out


def test_the_program_receives_the_folder_of_the_shell(tmp_path: Path) -> None:
    checkout, folder = tmp_path / "checkout", tmp_path / "folder"
    (checkout / "toolchain").mkdir(parents=True)
    folder.mkdir()
    shutil.copy(ROOT / "dev", checkout)
    program = "import os\nprint(os.environ['LLM_STACK_CALLER'])\n"
    (checkout / "toolchain" / "__main__.py").write_text(program)
    printed = subprocess.check_output([checkout / "dev"], cwd=folder, text=True)
    assert Path(printed.strip()) == folder
