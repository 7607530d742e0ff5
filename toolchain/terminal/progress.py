"""Prints the progress and the duration of each step."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

HEARTBEAT_SECONDS = 15.0
REDRAW_SECONDS = 0.5
LINE_WIDTH = 100


class Progress:
    """Prints a line at the end of each step, and a live line (terminal) or heartbeats before it."""

    def __init__(
        self, out: TextIO = sys.stdout, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._clock = clock
        self.terminal = out.isatty()
        self._lock = threading.Lock()

    def print(self, line: str = "") -> None:
        """Print a line."""
        with self._lock:
            self._write(line)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step as running until the block ends; the caller prints errors."""
        step = Step(title, self, self._clock)
        finished = threading.Event()
        beat = threading.Thread(target=self._beat, args=(step, finished), daemon=True)
        beat.start()
        try:
            yield step
        finally:
            finished.set()
            beat.join()

    def _beat(self, step: Step, finished: threading.Event) -> None:
        while not finished.wait(REDRAW_SECONDS if self.terminal else HEARTBEAT_SECONDS):
            with self._lock:
                text = f"  ... {step.title}: {step.activity} ({step.elapsed:.0f} s)"
                if self.terminal:
                    self._out.write(f"\r\033[K{text[:LINE_WIDTH]}")
                    self._out.flush()
                else:
                    self._write(text)
        if self.terminal:
            with self._lock:
                self._out.write("\r\033[K")
                self._out.flush()

    def _write(self, line: str) -> None:
        clear = "\r\033[K" if self.terminal else ""
        self._out.write(f"{clear}{line}\n")
        self._out.flush()


class Step:
    """One step while it runs."""

    def __init__(self, title: str, progress: Progress, clock: Callable[[], float]) -> None:
        self.title = title
        self.activity = "checking"
        self._progress = progress
        self._clock = clock
        self._start = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the step began."""
        return self._clock() - self._start

    def doing(self, activity: str) -> None:
        """Print the activity that starts now."""
        self.activity = activity
        self._progress.print(f"  ... {self.title}: {activity}")

    def note(self, activity: str) -> None:
        """Set the activity that the live line or the next heartbeat shows."""
        self.activity = activity

    def print(self, line: str) -> None:
        """Print a line within the step."""
        self._progress.print(f"      {line}")

    def already(self, what: str) -> None:
        """End the step: nothing had to be done."""
        self._close("present", what)

    def done(self, what: str) -> None:
        """End the step: this was done."""
        self._close("done", what)

    def _close(self, outcome: str, what: str) -> None:
        self._progress.print(f"{outcome:>13}  {self.title}: {what} ({self.elapsed:.1f} s)")
