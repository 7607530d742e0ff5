"""The output of a step, with and without a terminal."""

from __future__ import annotations

import io

import pytest

from toolchain.steps import Finding, ensure
from toolchain.terminal import progress as progress_module
from toolchain.terminal.progress import Progress


class Thing:
    """A setup step that is ready, or can be made."""

    title = "Thing"

    def __init__(self, ready: bool) -> None:
        self.ready = ready

    def find(self) -> Finding:
        return Finding(self.ready, "is installed" if self.ready else "installing it")

    def make(self, step: progress_module.Step) -> str:
        return "installed now"


def test_ready_step_prints_one_line() -> None:
    out = io.StringIO()
    ensure(Thing(ready=True), Progress(out, clock=lambda: 1.0))
    assert out.getvalue() == "      present  Thing: is installed (0.0 s)\n"


def test_step_prints_its_activity_and_its_result() -> None:
    out = io.StringIO()
    ensure(Thing(ready=False), Progress(out, clock=lambda: 1.0))
    assert out.getvalue().splitlines() == [
        "  ... Thing: installing it",
        "         done  Thing: installed now (0.0 s)",
    ]


def test_long_step_prints_heartbeats_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_module, "HEARTBEAT_SECONDS", 0.001)
    out = io.StringIO()
    with Progress(out, clock=lambda: 1.0).step("Thing") as step:
        step.note("half way")
        while "half way" not in out.getvalue():
            pass
    assert "  ... Thing: half way (0 s)\n" in out.getvalue()
