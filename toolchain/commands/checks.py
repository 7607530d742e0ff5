"""Everything a change must pass: format, lint, types and tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.project import Project
from toolchain.stack.environment import pulumi_environment, with_docker_host
from toolchain.terminal.progress import Progress

LINTERS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy", "--strict"),
)
# The quick ones first, so that a mistake shows early.
TEST_FOLDERS = ("tests/unit", "tests/integration", "tests/web")


@dataclass(frozen=True)
class Checks:
    """Runs the checks of one checkout, all of them even when one fails."""

    project: Project
    progress: Progress

    def run(self, pytest_args: Sequence[str]) -> int:
        """Give pytest's exit code, or 1 where only a linter failed; pytest speaks last."""
        environment = with_docker_host(pulumi_environment(self.project))
        failed = [linter for linter in LINTERS if self._run(linter, environment)]
        for linter in failed:
            self.progress.say(f"FAILED: {' '.join(linter)}; the tests run all the same.")
        code = self._run(["pytest", *test_selection(pytest_args, self.project.root)], environment)
        return code or int(bool(failed))

    def _run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        self.progress.say(f"$ {' '.join(command)}")
        program = self.project.venv / "bin" / command[0]
        return subprocess.run(
            [program, *command[1:]], env=environment, cwd=self.project.root
        ).returncode


def test_selection(args: Sequence[str], root: Path) -> list[str]:
    """Pytest's arguments: all folders of tests, unless the person names some."""
    named = any((root / arg.partition("::")[0]).exists() for arg in args if not arg.startswith("-"))
    present = [folder for folder in TEST_FOLDERS if (root / folder).is_dir()]
    return [*args, *([] if named else present)]
