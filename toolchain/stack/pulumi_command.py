"""Runs pulumi on one stack: to read its output, or to show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from toolchain.project import Project
from toolchain.stack.environment import pulumi_environment, with_docker_host
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import Result, capture, follow_code
from toolchain.terminal.progress import Progress

# Hints by error message of Docker Engine, for two checkouts with the same stack on one engine.
HINTS = {
    "is using its referenced image": (
        " Containers of another checkout use the same image: run ./dev down there first."
    ),
    "port is already allocated": (
        " Another container uses that port: see docker ps, or change llm-stack:hostPorts."
    ),
}
# The error message of `pulumi config get` for a setting without a value.
NOT_SET = "not found for stack"


class PulumiCommand:
    """The `pulumi` of one checkout, with its environment."""

    def __init__(self, project: Project, progress: Progress, stack: str) -> None:
        self._project = project
        self._progress = progress
        self._stack = stack
        self._pulumi = project.bin / "pulumi"
        self.environment = with_docker_host(pulumi_environment(project))

    def capture(self, *args: str) -> Result:
        """Run a short command; the arguments include the stack."""
        return capture(
            [self._pulumi, *args, "--non-interactive"],
            env=self.environment,
            cwd=self._project.root,
            timeout=120,
        )

    def must(self, *args: str) -> Result:
        """Run a short command on the stack; raises `SetupError` if it fails."""
        result = self.capture(*args, "--stack", self._stack)
        if not result.ok:
            raise self._failure(args, result)
        return result

    def setting(self, key: str) -> str | None:
        """The value of a setting, or None; raises `SetupError` if the stack does not exist."""
        args = ("config", "get", key)
        result = self.capture(*args, "--stack", self._stack)
        if result.ok:
            return result.out.strip()
        if NOT_SET in result.err:
            return None
        raise self._failure(args, result)

    def docker_environment(self) -> dict[str, str]:
        """The environment for `docker`, with the engine of the stack."""
        host = self.setting("docker:host")
        return self.environment | ({"DOCKER_HOST": host} if host else {})

    def export(self) -> dict[str, Any]:
        """The stack's state; raises `SetupError` if the stack does not exist."""
        exported: dict[str, Any] = json.loads(self.must("stack", "export").out)
        return exported

    def _failure(self, args: Sequence[str], result: Result) -> SetupError:
        if not self._pulumi.exists():
            return SetupError("Pulumi is not installed in this checkout: run ./dev install first.")
        return SetupError(f"pulumi {' '.join(args)} failed:\n{result.err.strip()}")

    def run(self, command: str, *args: str) -> None:
        """Run a long command on the stack and show its output; raises `SetupError`."""
        color = "always" if self._progress.terminal else "never"
        options = ["--stack", self._stack, "--non-interactive", "--color", color]
        code, tail = follow_code(
            [self._pulumi, command, *args, *options],
            log=self._project.step_logs / "pulumi.log",
            env=self.environment,
            cwd=self._project.root,
            on_line=lambda line: self._progress.print(f"      {line}") if line else None,
        )
        if code:
            hint = next((hint for message, hint in HINTS.items() if message in "\n".join(tail)), "")
            raise SetupError(f"pulumi {command} failed with exit code {code}.{hint}")
