"""Lints the workflows and their scripts with actionlint and shellcheck."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from toolchain.offline.go_language import go_command
from toolchain.offline.go_modules import go_environment
from toolchain.project import Project
from toolchain.terminal.progress import Progress

PROJECT_ROOT = Path(__file__).parents[2]
GITHUB = PROJECT_ROOT / ".github"
SCRIPTS = GITHUB / "scripts"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yaml"))
MODULE = PROJECT_ROOT / "toolchain" / "offline" / "actionlint"


@pytest.fixture(scope="session")
def shellcheck() -> str:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.fail("shellcheck is missing; in Debian and Ubuntu: apt install shellcheck")
    return program


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """The pinned linter, built from its Go module and cached by the digest of the module files."""
    project = Project.at(PROJECT_ROOT)
    content = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))
    program = project.cache / "actionlint" / hashlib.sha256(content).hexdigest()[:16]
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with Progress().step("actionlint") as step:
            go = go_command(project, step)
        built = program.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [
                *(go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", built),
                "github.com/rhysd/actionlint/cmd/actionlint",
            ],
            cwd=MODULE,
            env=go_environment(dict(os.environ)),
            check=True,
        )
        built.rename(program)
    return program


def test_workflows_pass_actionlint(actionlint: Path, shellcheck: str) -> None:
    linted = subprocess.run(
        [actionlint, "-shellcheck", shellcheck, "-pyflakes=", *WORKFLOWS],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


def test_actionlint_reports_a_mistake(actionlint: Path, shellcheck: str, tmp_path: Path) -> None:
    """actionlint finds the mistake, with shellcheck."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - run: echo $UNQUOTED ${{ github.nonsense }}\n"
    )
    linted = subprocess.run(
        [actionlint, "-shellcheck", shellcheck, "-pyflakes=", bad], capture_output=True, text=True
    )
    assert "SC2086" in linted.stdout
    assert "nonsense" in linted.stdout


def test_scripts_pass_shellcheck(shellcheck: str) -> None:
    scripts = [path for path in SCRIPTS.rglob("*") if path.suffix == "" and path.is_file()]
    assert len(scripts) >= 9
    linted = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert linted.stdout == ""
    not_executable = [path.name for path in scripts if not os.access(path, os.X_OK)]
    assert not_executable == []


def test_steps_of_actions_pass_shellcheck(shellcheck: str) -> None:
    """actionlint only checks workflows."""
    for path in ACTIONS:
        for step in yaml.safe_load(path.read_text(encoding="utf-8"))["runs"]["steps"]:
            linted = subprocess.run(
                [shellcheck, "--shell=bash", "-"], input=step["run"], capture_output=True, text=True
            )
            assert linted.stdout == "", step["name"]
            assert "${{" not in step["run"], "pass inputs as environment variables"
