"""Decisions after a check, as short sequences of verdicts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from app.monitor.decisions.after_check import apply_verdict
from app.monitor.decisions.pauses import pause, resume
from app.monitor.decisions.records import (
    CheckContext,
    EventType,
    Policy,
    RestartOutcome,
    ServiceRecord,
    last_healthy_at,
)
from app.monitor.decisions.states import State, Verdict
from tests.unit.monitor.decisions.scenario import (
    BUSY,
    DRAINING,
    LOADING,
    NOT_READY,
    OK,
    POLICY,
    REFUSED,
    SILENT,
    STALLED,
    UNKNOWN,
    Scenario,
    broken,
    healthy,
)


@pytest.mark.parametrize(
    ("verdicts", "state", "restarts"),
    [
        ([OK], State.OK, 0),
        ([BUSY] * 200, State.BUSY, 0),
        ([OK, REFUSED, REFUSED, OK], State.OK, 0),
        ([OK, REFUSED, REFUSED, REFUSED], State.STARTING, 1),
        ([OK, STALLED, STALLED, STALLED], State.STARTING, 1),
        ([OK, SILENT, REFUSED, STALLED], State.STARTING, 1),
        ([REFUSED] * 10, State.STARTING, 0),
        ([LOADING] * 10, State.LOADING, 0),
        ([OK, DRAINING, DRAINING, DRAINING], State.DRAINING, 0),
        ([OK, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN], State.UNKNOWN, 0),
        ([OK, REFUSED, REFUSED, UNKNOWN], State.UNKNOWN, 0),
    ],
)
def test_only_confirmed_failures_lead_to_a_restart(
    verdicts: list[Verdict], state: State, restarts: int
) -> None:
    scenario = Scenario().check(*verdicts)
    assert (scenario.record.state, len(scenario.restarts)) == (state, restarts)


def test_a_failure_is_alerted_when_confirmed_and_when_it_is_over() -> None:
    scenario = broken().check(OK)
    assert scenario.alerts() == [EventType.FAILED], "one passed check is not a recovery yet"
    scenario.check(OK)
    assert scenario.alerts() == [EventType.FAILED, EventType.RECOVERED]
    assert scenario.record.state is State.OK


def test_a_service_that_never_starts_is_restarted_after_its_grace() -> None:
    scenario = Scenario().check(*[REFUSED] * 12)
    assert scenario.restarts == []
    scenario.check(*[REFUSED] * 3)
    assert len(scenario.restarts) == 1


def test_grace_ends_with_the_first_passed_check() -> None:
    scenario = Scenario().check(OK, REFUSED, REFUSED, REFUSED)
    assert len(scenario.restarts) == 1, "it has served, so this is a failure, not a slow start"


def test_a_stall_is_a_failure_within_the_grace_too() -> None:
    assert len(Scenario().check(STALLED, STALLED, STALLED).restarts) == 1


def test_loading_longer_than_its_limit_is_a_failure() -> None:
    scenario = Scenario().check(*[LOADING] * 13)
    assert scenario.record.state is State.LOADING
    scenario.check(*[LOADING] * 4)
    assert len(scenario.restarts) == 1
    assert "longer than the limit of 60 s" in scenario.record.last_restart_reason


@pytest.mark.parametrize(("word", "limit"), [(LOADING, 60), (DRAINING, 300)])
def test_a_service_that_keeps_crashing_while_it_loads_fails_at_the_limit(
    word: Verdict, limit: float
) -> None:
    scenario = healthy()
    begun = scenario.now
    while not scenario.restarts:
        scenario.check(word, REFUSED, every=10)
        assert scenario.now - begun < limit + 60
    assert scenario.now - begun > limit
    assert EventType.FAILED in scenario.alerts()


@pytest.mark.parametrize("between", [[REFUSED], [], [OK]])
def test_time_spent_draining_does_not_count_as_loading(between: list[Verdict]) -> None:
    scenario = healthy().check(*[DRAINING] * 40).check(*between).check(*[LOADING] * 12)
    assert (scenario.record.state, scenario.restarts) == (State.LOADING, [])


def test_serving_resets_the_loading_time() -> None:
    scenario = healthy().check(*[LOADING] * 10).check(OK).check(*[LOADING] * 10)
    assert scenario.record.state is State.LOADING


def test_a_restart_is_followed_by_a_grace_and_a_growing_backoff() -> None:
    scenario = healthy().check(*[REFUSED] * 60)
    gaps = [
        later - earlier
        for earlier, later in zip(scenario.restarts, scenario.restarts[1:], strict=False)
    ]
    assert len(scenario.restarts) == 3
    assert gaps[0] >= 60, "the grace after the first restart"
    assert gaps[1] >= 60, "the second backoff, 60 s"


def test_after_the_limit_it_gives_up_with_one_alert_and_restarts_no_more() -> None:
    scenario = healthy().check(*[REFUSED] * 200)
    assert len(scenario.restarts) == 3
    assert scenario.alerts() == [EventType.FAILED, EventType.GAVE_UP]
    assert "3 restarts within 60 min" in scenario.record.held


def test_giving_up_ends_when_the_service_recovers() -> None:
    scenario = healthy().check(*[REFUSED] * 200).check(OK, OK)
    assert scenario.alerts()[-1] is EventType.RECOVERED
    assert scenario.record.gave_up_at is None


def test_giving_up_ends_when_resumed_by_hand() -> None:
    scenario = healthy().check(*[REFUSED] * 200)
    scenario.record = resume(scenario.record, "phi", scenario.now).record
    scenario.check(REFUSED)
    assert len(scenario.restarts) == 4


def test_the_limit_holds_even_when_the_service_recovers_in_between() -> None:
    scenario = healthy()
    for _ in range(6):
        scenario.check(REFUSED, REFUSED, REFUSED, OK, OK, every=40)
    assert len(scenario.restarts) == 3
    assert EventType.GAVE_UP in scenario.alerts()


def test_the_backoff_is_reset_after_a_stable_time() -> None:
    scenario = broken().check(OK, OK)
    assert scenario.record.streak == 1
    scenario.check(*[OK] * 121)
    assert scenario.record.streak == 0


def test_a_chat_whose_models_are_down_is_neither_restarted_nor_alerted() -> None:
    scenario = healthy()
    scenario.failed_dependencies = ("phi-inference",)
    scenario.check(*[NOT_READY] * 50)
    assert (scenario.restarts, scenario.alerts()) == ([], [])
    assert scenario.record.state is State.DEGRADED
    assert scenario.record.reason.startswith("waits for phi-inference")


def test_a_chat_that_is_not_ready_although_its_models_are_healthy_is_restarted() -> None:
    assert len(healthy().check(NOT_READY, NOT_READY, NOT_READY).restarts) == 1


def test_a_chat_that_fails_before_its_model_was_checked_waits_for_that_check() -> None:
    scenario = healthy()
    scenario.dependencies_healthy_at = scenario.now - 1
    scenario.check(*[NOT_READY] * 5)
    assert (scenario.restarts, scenario.alerts()) == ([], [])
    scenario.dependencies_healthy_at = scenario.now
    scenario.check(NOT_READY)
    assert len(scenario.restarts) == 1, "the model was checked, and is healthy"


def test_a_dead_service_does_not_wait_for_a_check_of_its_dependencies() -> None:
    scenario = healthy()
    scenario.dependencies_healthy_at = scenario.now - 1
    assert len(scenario.check(REFUSED, REFUSED, REFUSED).restarts) == 1


def test_a_service_is_healthy_until_its_first_failed_check() -> None:
    scenario = healthy()
    assert last_healthy_at(scenario.record) == scenario.now - 5
    assert last_healthy_at(scenario.check(REFUSED).record) == 0
    assert last_healthy_at(scenario.check(OK).record) == scenario.now - 5


def test_one_failed_check_of_a_model_does_not_reset_the_failures_of_the_chat() -> None:
    scenario = healthy().check(NOT_READY, NOT_READY)
    scenario.dependencies_healthy_at = 0.0
    scenario.check(NOT_READY)
    assert (scenario.restarts, scenario.record.state) == ([], State.OK)
    scenario.dependencies_healthy_at = scenario.now
    scenario.check(NOT_READY)
    assert len(scenario.restarts) == 1


def test_failures_while_a_dependency_was_down_do_not_count_afterwards() -> None:
    scenario = healthy()
    scenario.failed_dependencies = ("phi-inference",)
    scenario.check(*[NOT_READY] * 10)
    scenario.failed_dependencies = ()
    scenario.check(NOT_READY, NOT_READY, OK)
    assert scenario.restarts == []


def test_a_dead_service_is_restarted_even_if_its_dependencies_are_down() -> None:
    scenario = healthy()
    scenario.failed_dependencies = ("phi-inference",)
    assert len(scenario.check(REFUSED, REFUSED, REFUSED).restarts) == 1


def test_in_a_pause_nothing_is_restarted_or_alerted_and_afterwards_it_is() -> None:
    scenario = healthy()
    scenario.record = pause(scenario.record, "phi", scenario.now + 100, scenario.now).record
    scenario.check(*[REFUSED] * 20)
    assert (scenario.restarts, scenario.alerts()) == ([], [])
    assert scenario.record.state is State.DOWN, "the state is still updated"
    scenario.check(REFUSED)
    assert len(scenario.restarts) == 1
    assert scenario.alerts() == [EventType.FAILED]


def test_flapping_is_one_alert_and_ends_with_one() -> None:
    scenario = healthy().check(*[REFUSED, OK] * 20, every=20)
    assert scenario.alerts() == [EventType.FLAPPING]
    assert (scenario.record.state, scenario.restarts) == (State.DEGRADED, [])
    scenario.check(*[OK] * 60, every=20)
    assert scenario.alerts() == [EventType.FLAPPING, EventType.SETTLED]
    assert scenario.record.state == State.OK


def test_flapping_that_ends_in_a_failure_sends_only_the_failure() -> None:
    scenario = healthy()
    scenario.policy = replace(POLICY, restart=False)
    scenario.check(*[REFUSED, OK] * 10, every=20).check(*[REFUSED] * 60, every=20)
    assert scenario.alerts() == [EventType.FLAPPING, EventType.FAILED]
    assert not scenario.record.flapping


def test_a_single_failed_check_does_not_end_flapping_without_an_alert() -> None:
    scenario = healthy()
    scenario.record = replace(scenario.record, flapping=True, last_good=False, changes=())
    assert scenario.check(REFUSED).alerts() == []
    assert scenario.check(OK).alerts() == [EventType.SETTLED]


def test_an_alert_sent_while_it_flaps_is_followed_by_one_for_the_recovery() -> None:
    scenario = healthy()
    scenario.record = replace(scenario.record, flapping=True, changes=(scenario.now,) * 6)
    scenario.outcome = RestartOutcome.STOPPED_BY_HAND
    scenario.check(*[REFUSED] * 3).check(OK, OK)
    assert scenario.alerts() == [EventType.RESTART_HELD, EventType.RECOVERED]


def test_flapping_between_confirmed_states_does_not_send_an_alert_each_time() -> None:
    scenario = healthy()
    scenario.policy = Policy(POLICY.thresholds, POLICY.restarts, start_grace=0, restart=False)
    scenario.check(*[REFUSED, REFUSED, REFUSED, OK, OK] * 10, every=10)
    assert scenario.alerts().count(EventType.FAILED) <= 3
    assert scenario.alerts().count(EventType.FLAPPING) == 1


def test_a_record_without_newer_fields_can_be_loaded() -> None:
    adapter = TypeAdapter(dict[str, ServiceRecord])
    data = adapter.dump_python({"phi": broken().record}, mode="json")
    for new in ("attempts", "reported", "draining_since"):
        del data["phi"][new]
    assert adapter.validate_json(json.dumps(data)) == {"phi": broken().record}


def test_a_second_opinion_is_requested_only_without_any_response() -> None:
    context = CheckContext(1000.0)
    for verdict, expected in [(SILENT, True), (REFUSED, False), (STALLED, False)]:
        record = healthy().record
        for _ in range(3):
            record = apply_verdict(record, "phi", verdict, POLICY, context).record
        assert record.pending is not None
        assert record.pending.second_opinion is expected


def test_a_pending_restart_has_the_times_of_the_first_failure_and_the_last_passed_check() -> None:
    record = healthy().record
    for now, verdict in [(1990.0, OK), (2000.0, REFUSED), (2005.0, REFUSED), (2010.0, REFUSED)]:
        record = apply_verdict(record, "phi", verdict, POLICY, CheckContext(now)).record
    assert record.pending is not None
    assert (record.pending.failing_since, record.pending.known_start) == (2000.0, 1990.0)


def test_while_a_restart_is_pending_no_other_is_requested() -> None:
    record, requested = healthy().record, 0
    for now in range(2000, 2200, 5):
        step = apply_verdict(record, "phi", REFUSED, POLICY, CheckContext(float(now)))
        record = step.record
        requested += sum(event.type is EventType.RESTART_REQUESTED for event in step.events)
    assert requested == 1


def test_with_restarts_off_only_an_alert_is_sent() -> None:
    policy = Policy(POLICY.thresholds, POLICY.restarts, start_grace=0, restart=False)
    scenario = Scenario(policy=policy).check(OK, *[REFUSED] * 10)
    assert (scenario.requested, scenario.alerts()) == (0, [EventType.FAILED])


def test_a_record_stays_bounded_however_long_a_service_fails() -> None:
    scenario = healthy().check(*[REFUSED, OK, REFUSED, REFUSED, REFUSED, OK, OK] * 500, every=3)
    assert len(scenario.record.changes) <= 12
    assert len(scenario.record.restarts) <= 3
