"""The workflows themselves: linted, pinned, and with no more rights than they need."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.workflows.conftest import PROJECT_ROOT, SCRIPTS
from toolchain.offline.go_language import go_command
from toolchain.offline.go_modules import go_environment
from toolchain.project import Project
from toolchain.terminal.progress import Progress

WORKFLOWS = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yaml"))
ACTIONS = sorted((PROJECT_ROOT / ".github" / "actions").glob("*/action.yaml"))
MODULE = PROJECT_ROOT / "toolchain" / "actionlint"


@pytest.fixture(scope="session")
def shellcheck() -> str:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.fail("shellcheck is missing; in Debian and Ubuntu: apt install shellcheck")
    return program


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """The pinned linter, built once for each state of its module files."""
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


def contents(path: Path) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    """YAML 1.1 reads the key `on` as true."""
    found: dict[str, Any] = workflow[True]
    return found


def test_the_workflows_are_the_documented_ones() -> None:
    assert [path.stem for path in WORKFLOWS] == ["deploy", "drift", "images", "preview", "test"]


def test_actionlint_and_shellcheck_find_nothing(actionlint: Path, shellcheck: str) -> None:
    linted = subprocess.run(
        [actionlint, "-shellcheck", shellcheck, "-pyflakes=", *WORKFLOWS],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


def test_actionlint_would_find_a_mistake(actionlint: Path, shellcheck: str, tmp_path: Path) -> None:
    """So that the silence above means something, that of shellcheck included."""
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


def test_shellcheck_finds_nothing_in_the_scripts(shellcheck: str) -> None:
    scripts = [path for path in SCRIPTS.iterdir() if path.suffix == "" and path.is_file()]
    assert len(scripts) >= 9
    linted = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert linted.stdout == ""
    not_executable = [path.name for path in scripts if not os.access(path, os.X_OK)]
    assert not_executable == []


def test_shellcheck_finds_nothing_in_the_steps_of_actions(shellcheck: str) -> None:
    """Actionlint looks at workflows only."""
    for path in ACTIONS:
        for step in contents(path)["runs"]["steps"]:
            linted = subprocess.run(
                [shellcheck, "--shell=bash", "-"], input=step["run"], capture_output=True, text=True
            )
            assert linted.stdout == "", step["name"]
            assert "${{" not in step["run"], "an input goes through a variable, never into a script"


def test_zizmor_finds_nothing() -> None:
    """Injection, credentials left behind, rights too wide, unpinned actions."""
    zizmor = Path(sys.executable).parent / "zizmor"
    linted = subprocess.run(
        [zizmor, "--offline", "--no-progress", ".github"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_starts_without_rights_and_names_those_it_has(path: Path) -> None:
    workflow = contents(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert job["permissions"].get("contents") == "read", name


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + path.stem
)
def test_actions_of_others_are_pinned_by_commit(path: Path) -> None:
    for used in re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8")):
        action, comment = used
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action}: say which release it is"


def test_code_of_a_fork_never_meets_a_secret() -> None:
    """GitHub gives forks none under `pull_request`; what gives them some must not be used."""
    for path in WORKFLOWS:
        workflow = contents(path)
        assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(
            triggers(workflow)
        ), path.name
        if "pull_request" not in triggers(workflow):
            continue
        for name, job in workflow["jobs"].items():
            if "secrets." in yaml.safe_dump(job):
                condition = job["if"]
                assert "head.repo.full_name == github.repository" in condition, name


def test_a_stack_is_changed_by_one_run_at_a_time_and_never_cut_off() -> None:
    locks = [
        contents(PROJECT_ROOT / ".github" / "workflows" / f"{name}.yaml")["jobs"][job][
            "concurrency"
        ]
        for name, job in (("deploy", "up"), ("drift", "look"))
    ]
    assert (
        locks[0]
        == locks[1]
        == {
            "group": "stack-${{ matrix.stack }}",
            "cancel-in-progress": False,
        }
    )
