"""What a step of the set-up is: it can look without touching, and make what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from toolchain.terminal.progress import Progress, Step


@dataclass(frozen=True)
class Finding:
    """What is there (`ready`), or what would be done about its absence."""

    ready: bool
    what: str


class SetupStep(Protocol):
    """One thing the stack needs on this machine."""

    title: str

    def find(self) -> Finding:
        """Look, and change nothing."""

    def make(self, step: Step) -> str:
        """Make it, whatever an interrupted run left, and say what there is now."""


def ensure(setup: SetupStep, progress: Progress) -> None:
    """Run one step where it is needed; raises `SetupError`."""
    with progress.step(setup.title) as step:
        finding = setup.find()
        if finding.ready:
            step.already(finding.what)
        else:
            step.doing(finding.what)
            step.done(setup.make(step))
