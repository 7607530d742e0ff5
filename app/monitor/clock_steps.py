"""Steps of the host's clock, by which the times that were taken before are corrected."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.monitor.decisions.records import ServiceRecord

SMALLEST_STEP = 2.0
"""Seconds. Below this, the clock is only slewed, as NTP does all the time."""

# Fields of a record that hold times, and tuples of times; 0 and None mean never.
TIMES = (
    "since",
    "checked_at",
    "known_start",
    "healthy_since",
    "failing_since",
    "loading_since",
    "draining_since",
    "grace_until",
    "not_before",
    "last_restart_at",
    "gave_up_at",
    "paused_until",
)
TIME_LISTS = ("changes", "restarts")


class ClockSteps:
    """Compares the clock with one that is never set.

    :param clock: seconds since the epoch.
    :param steady: seconds of a clock that only goes on.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._offset = clock() - steady()

    def __call__(self) -> float:
        """Seconds by which the clock was set since the last call; 0 if it was not."""
        offset = self._clock() - self._steady()
        step, self._offset = offset - self._offset, offset
        return step if abs(step) >= SMALLEST_STEP else 0.0


def shifted(record: ServiceRecord, step: float) -> ServiceRecord:
    """The record with all its times moved, so that what has lasted n seconds still has."""
    changes: dict[str, Any] = {
        name: value + step for name in TIMES if (value := getattr(record, name))
    }
    changes |= {name: tuple(at + step for at in getattr(record, name)) for name in TIME_LISTS}
    if pending := record.pending:
        changes["pending"] = replace(
            pending,
            failing_since=pending.failing_since + step,
            known_start=pending.known_start + step,
        )
    return replace(record, **changes)


def not_in_the_future(record: ServiceRecord, now: float) -> ServiceRecord:
    """A saved record; moved to the past if the clock was set back before it was loaded."""
    last = max(record.checked_at or 0.0, record.since)
    return shifted(record, now - last) if last > now else record
