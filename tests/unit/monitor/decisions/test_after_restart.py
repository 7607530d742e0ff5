"""Decisions after a response of the restarter."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from app.monitor.decisions.after_restart import apply_restart_result
from app.monitor.decisions.pauses import resume
from app.monitor.decisions.records import (
    EventType,
    PendingRestart,
    Policy,
    RestartOutcome,
    RestartResult,
    ServiceRecord,
)
from app.monitor.decisions.states import State
from app.monitor.settings import RestartSettings, Thresholds
from tests.unit.monitor.decisions.scenario import (
    OK,
    POLICY,
    REFUSED,
    SILENT,
    Scenario,
    broken,
    healthy,
)


def test_the_backoff_doubles_up_to_its_maximum_with_jitter_to_both_sides() -> None:
    policy = Policy(
        Thresholds(), RestartSettings(backoff=30, backoff_max=100), start_grace=0, restart=True
    )
    for streak, random_number, delay in [
        (0, 0.5, 30),
        (1, 0.5, 60),
        (2, 0.5, 100),
        (0, 0.0, 24),
        (0, 1.0, 36),
    ]:
        pending = PendingRestart(0, 0, False, "refused", "connection refused")
        record = replace(healthy().record, pending=pending, streak=streak)
        step = apply_restart_result(
            record, "phi", RestartResult(RestartOutcome.RESTARTED), policy, 500.0, random_number
        )
        assert step.record.not_before == pytest.approx(500 + delay)


@pytest.mark.parametrize(
    ("outcome", "next_request_after", "counts", "text"),
    [
        (RestartOutcome.FRESH, 60, True, "restarted by Docker or a person"),
        (RestartOutcome.WAIT, 7, False, "waits for the container's own health check"),
        (RestartOutcome.HEALTHY_INSIDE, 120, False, "the network is the cause"),
        (RestartOutcome.STOPPED_BY_HAND, 120, False, "stopped by hand"),
        (RestartOutcome.NOT_FOUND, 120, False, "no container"),
        (RestartOutcome.SWARM, 120, False, "Swarm itself replaces"),
        (RestartOutcome.REFUSED, 30, False, "restart failed"),
        (RestartOutcome.ENGINE_FAILED, 30, False, "restart failed"),
        (RestartOutcome.UNREACHABLE, 30, False, "restart failed"),
    ],
)
def test_each_outcome_has_its_delay_and_its_reason(
    outcome: RestartOutcome, next_request_after: float, counts: bool, text: str
) -> None:
    scenario = broken(outcome=outcome)
    assert scenario.requested == 1
    first = scenario.now - 5
    while scenario.requested == 1:
        scenario.check(REFUSED, every=1)
        assert scenario.now - first < 1000
    assert scenario.now - 1 - first >= next_request_after
    assert bool(scenario.record.restarts) is counts
    assert any(text in event.reason for event in scenario.events)


def late_result(outcome: RestartOutcome) -> tuple[Scenario, ServiceRecord]:
    """The result comes when the service has recovered."""
    scenario = healthy()
    pending = PendingRestart(scenario.now, scenario.now, False, "refused", "connection refused")
    scenario.record = replace(scenario.record, pending=pending)
    before = scenario.record
    scenario.outcome = outcome
    scenario.restart()
    return scenario, before


@pytest.mark.parametrize(
    "outcome",
    [one for one in RestartOutcome if one not in (RestartOutcome.RESTARTED, RestartOutcome.FRESH)],
)
def test_a_result_after_the_recovery_changes_nothing(outcome: RestartOutcome) -> None:
    scenario, before = late_result(outcome)
    assert scenario.events[-1].type is EventType.STATE, "of its start"
    assert scenario.record == replace(before, pending=None)


@pytest.mark.parametrize(
    ("outcome", "total"), [(RestartOutcome.RESTARTED, 1), (RestartOutcome.FRESH, 0)]
)
def test_a_restart_that_was_done_counts_after_the_recovery_too(
    outcome: RestartOutcome, total: int
) -> None:
    scenario, _ = late_result(outcome)
    assert (len(scenario.record.restarts), scenario.record.restarts_total) == (1, total)
    assert (scenario.record.state, scenario.record.pending, scenario.alerts()) == (
        State.OK,
        None,
        [],
    )


FAILING = (RestartOutcome.UNREACHABLE, RestartOutcome.ENGINE_FAILED, RestartOutcome.REFUSED)


@pytest.mark.parametrize("outcome", FAILING)
def test_failed_restarts_are_retried_with_a_growing_delay(outcome: RestartOutcome) -> None:
    scenario = broken(outcome=outcome)
    requested = [scenario.now]
    while len(requested) < 8:
        before = scenario.requested
        scenario.check(REFUSED, every=1)
        if scenario.requested > before:
            requested.append(scenario.now)
    gaps = [later - earlier for earlier, later in pairwise(requested)]
    assert gaps == [pytest.approx(gap, abs=5) for gap in (30, 60, 120, 240, 480, 900, 900)]


@pytest.mark.parametrize("end", ["recovery", "restart", "resume"])
def test_the_next_failed_restart_counts_as_the_first_and_is_reported(end: str) -> None:
    scenario = broken(outcome=RestartOutcome.UNREACHABLE).check(*[REFUSED] * 100)
    assert scenario.record.attempts > 2
    if end == "resume":
        scenario.record = resume(scenario.record, "phi", scenario.now).record
    elif end == "recovery":
        scenario.check(OK, OK)
    else:
        scenario.outcome = RestartOutcome.RESTARTED
        while not scenario.restarts:
            scenario.check(REFUSED)
    assert (scenario.record.attempts, scenario.record.reported) == (0, ())


def test_each_kind_of_failed_restart_is_alerted_once_even_if_its_text_changes() -> None:
    scenario = broken(outcome=RestartOutcome.WAIT)
    for number in range(24 * 120):
        outcome = FAILING[number % 3]
        pending = PendingRestart(0, 0, False, "refused", "connection refused")
        record = replace(scenario.record, pending=pending)
        result = RestartResult(outcome, f"error {number}")
        step = apply_restart_result(record, "phi", result, POLICY, scenario.now, 0.5)
        scenario.record = step.record
        scenario.events += step.events
        scenario.check(REFUSED, every=30)
        assert f"error {number}" in scenario.record.held, "the last text is shown"
    assert scenario.alerts() == [EventType.FAILED, *[EventType.RESTART_FAILED] * 3]


@pytest.mark.parametrize(
    ("outcome", "alert"),
    [
        (RestartOutcome.LOOPING, EventType.GAVE_UP),
        (RestartOutcome.SWARM, EventType.RESTART_HELD),
        (RestartOutcome.UNREACHABLE, EventType.RESTART_FAILED),
    ],
)
def test_a_result_in_a_pause_is_alerted_after_it(outcome: RestartOutcome, alert: EventType) -> None:
    scenario = broken()
    pending = PendingRestart(0, 0, False, "refused", "connection refused")
    record = replace(scenario.record, pending=pending, not_before=0.0)
    step = apply_restart_result(
        record, "phi", RestartResult(outcome), POLICY, scenario.now, 0.5, paused=True
    )
    assert not any(event.alert for event in step.events)
    scenario.record, scenario.outcome = step.record, outcome
    scenario.check(*[REFUSED] * 100)
    assert scenario.alerts() == [EventType.FAILED, alert]


def test_a_reason_to_withhold_a_restart_is_reported_once() -> None:
    scenario = broken(outcome=RestartOutcome.HEALTHY_INSIDE).check(*[SILENT] * 100)
    assert scenario.requested > 3
    assert scenario.event_types().count(EventType.RESTART_HELD) == 1


def test_a_container_that_docker_already_restarts_in_a_loop_is_given_up_at_once() -> None:
    scenario = broken(outcome=RestartOutcome.LOOPING).check(*[REFUSED] * 50)
    assert (scenario.requested, scenario.alerts()) == (1, [EventType.FAILED, EventType.GAVE_UP])


def test_a_container_restarted_elsewhere_is_recorded_once() -> None:
    scenario = broken(outcome=RestartOutcome.FRESH)
    started = scenario.record.last_restart_at
    scenario.outcome = RestartOutcome.RESTARTED
    scenario.check(*[REFUSED] * 20)
    pending_start = scenario.record.known_start
    assert started is not None
    assert pending_start >= started, "the next request does not find the same start again"
    assert len(scenario.restarts) == 1
