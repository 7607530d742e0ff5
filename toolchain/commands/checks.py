"""Runs the checks of `./dev check` and `./dev test`: format, lint, types, layers, tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.project import Project
from toolchain.terminal.progress import Progress

LINTERS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy", "--strict"),
    ("lint-imports", "--no-logo"),
)
UNIT_TESTS = "tests/unit"
# The longest files first, so that the processes end together.
TEST_FOLDERS = ("tests/integration", "tests/web", UNIT_TESTS)
# Three processes, whatever the number of cores: the tests share one engine, and mostly wait for
# containers. The tests of a file stay together: they share a stack.
IN_PARALLEL = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
# Replaces the expression in pyproject.toml that deselects all but the unit tests.
EVERY_MARKER = ("-m", "")


@dataclass(frozen=True)
class Checks:
    """Runs all checks of one checkout, also after one has failed."""

    project: Project
    progress: Progress
    environment: Mapping[str, str]

    def quick(self, pytest_args: Sequence[str]) -> int:
        """Run the linters and the unit tests in parallel processes; return the exit code."""
        if selects_tests(pytest_args, self.project.root):
            return self._run(pytest_args)
        return self._run(["-n", "auto", UNIT_TESTS, *pytest_args])

    def full(self, pytest_args: Sequence[str]) -> int:
        """Run the linters and all tests; return the exit code."""
        if selects_tests(pytest_args, self.project.root):
            return self._run([*EVERY_MARKER, *pytest_args])
        present = [folder for folder in TEST_FOLDERS if (self.project.root / folder).is_dir()]
        return self._run([*IN_PARALLEL, *EVERY_MARKER, *present, *pytest_args])

    def _run(self, pytest_args: Sequence[str]) -> int:
        """Return pytest's exit code, or 1 if only a linter failed; pytest runs last."""
        failed = [linter for linter in LINTERS if self._command(linter)]
        for linter in failed:
            self.progress.print(f"FAILED: {' '.join(linter)}; continuing with the tests.")
        code = self._command(["pytest", *pytest_args])
        return code or int(bool(failed))

    def _command(self, command: Sequence[str]) -> int:
        self.progress.print(f"$ {' '.join(command)}")
        program = self.project.venv / "bin" / command[0]
        # The tests start thousands of Python processes: each would compile its packages again.
        environment = {k: v for k, v in self.environment.items() if k != NO_BYTECODE}
        return subprocess.run(
            [program, *command[1:]], env=environment, cwd=self.project.root
        ).returncode


def selects_tests(args: Sequence[str], root: Path) -> bool:
    """Whether pytest's arguments contain a file or a folder of tests."""
    return any((root / arg.partition("::")[0]).exists() for arg in args if not arg.startswith("-"))
