"""What a person sees of a step, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from toolchain.commands.steps import Finding, ensure
from toolchain.terminal import progress as progress_module
from toolchain.terminal.progress import Progress


class Thing:
    """A step that is there, or can be made."""

    title = "Thing"

    def __init__(self, ready: bool) -> None:
        self.ready = ready

    def find(self) -> Finding:
        return Finding(self.ready, "is here" if self.ready else "making it")

    def make(self, step: progress_module.Step) -> str:
        return "was made"


def test_a_step_that_is_there_takes_one_line() -> None:
    out = io.StringIO()
    ensure(Thing(ready=True), Progress(out, clock=lambda: 1.0))
    assert out.getvalue() == "already there  Thing: is here (0.0 s)\n"


def test_a_step_that_is_made_says_what_it_does_and_what_there_is_now() -> None:
    out = io.StringIO()
    ensure(Thing(ready=False), Progress(out, clock=lambda: 1.0))
    assert out.getvalue().splitlines() == [
        "  ... Thing: making it",
        "         done  Thing: was made (0.0 s)",
    ]


def test_a_long_step_shows_without_a_terminal_that_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_module, "HEARTBEAT_SECONDS", 0.001)
    out = io.StringIO()
    with Progress(out, clock=lambda: 1.0).step("Thing") as step:
        step.note("half way")
        while "half way" not in out.getvalue():
            pass
    assert "  ... Thing: half way (0 s)\n" in out.getvalue()
