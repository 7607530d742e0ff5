"""Runs pulumi on one stack: quietly for an answer, or with its output shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from toolchain.project import Project
from toolchain.stack.environment import pulumi_environment, with_docker_host
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import Answer, ask, follow_code
from toolchain.terminal.progress import Progress

# What the engine says when two checkouts have a stack of the same name on it.
HINTS = {
    "is using its referenced image": (
        " Containers of another checkout run on the same image: take its stack down first."
    ),
    "port is already allocated": (
        " Another container has that port: see docker ps, or change llm-stack:hostPorts."
    ),
}
# How `pulumi config get` tells that from every other failure.
NOT_SET = "not found for stack"


class PulumiCommand:
    """The `pulumi` of one checkout, in its settings."""

    def __init__(self, project: Project, progress: Progress, stack: str) -> None:
        self._project = project
        self._progress = progress
        self._stack = stack
        self._pulumi = project.bin / "pulumi"
        self.environment = with_docker_host(pulumi_environment(project))

    def ask(self, *args: str) -> Answer:
        """Run a short command that names its stack itself."""
        return ask(
            [self._pulumi, *args, "--non-interactive"],
            env=self.environment,
            cwd=self._project.root,
            timeout=120,
        )

    def must(self, *args: str) -> Answer:
        """Run a short command on the stack; raises `SetupError` where it fails."""
        answer = self.ask(*args, "--stack", self._stack)
        if not answer.ok:
            raise self._failure(args, answer)
        return answer

    def setting(self, key: str) -> str | None:
        """What the stack's settings say; raises `SetupError` where there is no such stack."""
        args = ("config", "get", key)
        answer = self.ask(*args, "--stack", self._stack)
        if answer.ok:
            return answer.out.strip()
        if NOT_SET in answer.err:
            return None
        raise self._failure(args, answer)

    def docker_environment(self) -> dict[str, str]:
        """The environment for `docker`, with the engine that the stack's containers run on."""
        host = self.setting("docker:host")
        return self.environment | ({"DOCKER_HOST": host} if host else {})

    def export(self) -> dict[str, Any]:
        """The stack's state; raises `SetupError` where there is none."""
        exported: dict[str, Any] = json.loads(self.must("stack", "export").out)
        return exported

    def _failure(self, args: Sequence[str], answer: Answer) -> SetupError:
        if not self._pulumi.exists():
            return SetupError("Pulumi is not set up in this checkout: run ./dev install first.")
        return SetupError(f"pulumi {' '.join(args)} failed:\n{answer.err.strip()}")

    def run(self, command: str, *args: str) -> None:
        """Run a long command on the stack, its lines shown; raises `SetupError`."""
        color = "always" if self._progress.terminal else "never"
        options = ["--stack", self._stack, "--non-interactive", "--color", color]
        code, tail = follow_code(
            [self._pulumi, command, *args, *options],
            log=self._project.step_logs / "pulumi.log",
            env=self.environment,
            cwd=self._project.root,
            on_line=lambda line: self._progress.say(f"      {line}") if line else None,
        )
        if code:
            hint = next((hint for sign, hint in HINTS.items() if sign in "\n".join(tail)), "")
            raise SetupError(f"pulumi {command} failed with exit code {code}.{hint}")
