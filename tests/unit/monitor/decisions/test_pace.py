"""The pace of checks: seconds until the next one, at common ticks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.monitor.decisions.pace import EAGER_AT_ONCE, EAGER_TIME, Pace, next_check_at
from app.monitor.decisions.records import ServiceRecord
from app.monitor.decisions.states import State

NOW = 1_000_000.0
HEALTHY = ServiceRecord(state=State.OK, since=NOW - 3600, healthy=True)
FAILING = replace(HEALTHY, failures=1, failing_since=NOW)


def pace() -> Pace:
    return Pace(interval=30, retry_interval=5)


def test_a_service_that_was_healthy_for_long_is_checked_more_often_from_its_first_failure() -> None:
    assert pace().seconds("phi", HEALTHY, NOW) == 30
    assert pace().seconds("phi", FAILING, NOW) == 5


def test_a_service_that_stays_undecided_returns_to_the_interval() -> None:
    assert pace().seconds("phi", FAILING, NOW + EAGER_TIME) == 30


def test_many_undecided_services_share_the_rate_of_a_few() -> None:
    shared = pace()
    found = [shared.seconds(f"phi-{n}", FAILING, NOW) for n in range(2 * EAGER_AT_ONCE)]
    assert (found[0], found[-1]) == (5, 10)
    for n in range(2 * EAGER_AT_ONCE - 1):
        shared.seconds(f"phi-{n}", HEALTHY, NOW)
    assert shared.seconds("phi-0", FAILING, NOW) == 5


@pytest.mark.parametrize("pace", [0.2, 5.0, 7.3, 30.0])
def test_checks_start_at_common_ticks_and_keep_their_pace(pace: float) -> None:
    """Each starts a little late, and must not lose a tick each time."""
    first = next_check_at(100.0 + pace, pace, now=100.001)
    assert first == pytest.approx(100 + pace, abs=0.25)
    at = first
    for _ in range(100):
        at = next_check_at(at + 0.004 + pace, pace, now=at + 0.01)
    assert at == pytest.approx(first + 100 * pace)


def test_checks_due_at_different_times_share_ticks() -> None:
    found = {next_check_at(130 + shift / 100, 30.0, now=100.0) for shift in range(0, 100, 7)}
    assert found == {130.0, 130.5, 131.0}


def test_checks_that_take_longer_than_their_pace_have_a_pause_between_them() -> None:
    assert next_check_at(101.0, 1.0, now=107.0) == 107.05
