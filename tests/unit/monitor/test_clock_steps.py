"""How far the clock was set, and the times of a record that move with it."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from app.monitor.clock_steps import TIME_LISTS, TIMES, ClockSteps, shifted
from app.monitor.decisions.records import PendingRestart, ServiceRecord


def test_a_step_is_reported_once_and_slewing_is_none() -> None:
    clock, steady = 1000.0, 50.0
    steps = ClockSteps(lambda: clock, lambda: steady)
    clock, steady = 1010.0, 60.0
    assert steps() == 0
    clock, steady = 1021.5, 70.0
    assert steps() == 0, "slewed"
    clock, steady = 4631.5, 80.0
    assert steps() == pytest.approx(3600)
    assert steps() == 0
    clock -= 7200
    assert steps() == pytest.approx(-7200)


def test_every_time_of_a_record_is_moved() -> None:
    named = {
        field.name
        for field in fields(ServiceRecord)
        if re.search(r"(^since|_since|_at|_until|known_start|not_before)$", field.name)
    }
    assert named == set(TIMES)
    record = ServiceRecord(
        since=100.0,
        not_before=160.0,
        changes=(90.0, 95.0),
        restarts=(80.0,),
        pending=PendingRestart(70.0, 60.0, False, "refused", "refused"),
    )
    moved = shifted(record, 10.0)
    assert (moved.since, moved.not_before, moved.grace_until) == (110.0, 170.0, 0.0)
    assert [getattr(moved, name) for name in TIME_LISTS] == [(100.0, 105.0), (90.0,)]
    assert moved.pending
    assert (moved.pending.failing_since, moved.pending.known_start) == (80, 70)
    assert moved.checked_at is None
