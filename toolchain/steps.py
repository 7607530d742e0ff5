"""The protocol of a setup step: find without changes, then make what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from toolchain.terminal.progress import Progress, Step


@dataclass(frozen=True)
class Finding:
    """What is present (`ready`), or what `make` would do."""

    ready: bool
    what: str


class SetupStep(Protocol):
    """One requirement of the stack on this machine."""

    title: str

    def find(self) -> Finding:
        """Check, without changes."""

    def make(self, step: Step) -> str:
        """Make it, also after an interrupted run; return a description."""


def ensure(setup: SetupStep, progress: Progress) -> None:
    """Run a step if it is needed; raises `SetupError`."""
    with progress.step(setup.title) as step:
        finding = setup.find()
        if finding.ready:
            step.already(finding.what)
        else:
            step.doing(finding.what)
            step.done(setup.make(step))
