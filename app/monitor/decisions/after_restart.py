"""Decisions after a response of the restarter, without clock or network."""

from __future__ import annotations

from app.monitor.decisions.records import (
    EventType,
    PendingRestart,
    Policy,
    RestartOutcome,
    RestartResult,
    ServiceRecord,
    Step,
)
from app.monitor.decisions.states import State

HELD_REASONS = {
    RestartOutcome.LOOPING: "Docker already restarts it over and over",
    RestartOutcome.HEALTHY_INSIDE: "healthy inside its container, so the network is the cause",
    RestartOutcome.STOPPED_BY_HAND: "stopped by hand",
    RestartOutcome.NOT_FOUND: "no container of this stack has its label",
    RestartOutcome.SWARM: "a Swarm task, which Swarm itself replaces",
}
FAILED_RESTARTS = (
    RestartOutcome.UNREACHABLE,
    RestartOutcome.ENGINE_FAILED,
    RestartOutcome.REFUSED,
)


def apply_restart_result(
    record: ServiceRecord,
    service: str,
    result: RestartResult,
    policy: Policy,
    now: float,
    random_number: float,
    *,
    paused: bool = False,
) -> Step:
    """The new record after a response to the pending restart, and the events.

    `random_number` is from 0 to 1, for the jitter of the backoff. For a service that has
    recovered in the meantime only a restart that was done matters. In a pause no alert is sent;
    a problem that persists is alerted when the next response finds it again.
    """
    step = Step(record, service, now)
    pending = record.pending
    step.update(pending=None)
    if pending is None:
        return step
    if result.outcome in (RestartOutcome.RESTARTED, RestartOutcome.FRESH):
        _count_restart(step, pending, result, policy, random_number)
    elif record.healthy is True:
        pass
    elif result.outcome is RestartOutcome.WAIT:
        step.update(not_before=now + (result.wait or policy.thresholds.retry_interval))
        why = f"waits for the container's own health check: {result.detail}"
        _hold(step, result.outcome, why, paused=paused, alert=False)
    elif result.outcome is RestartOutcome.LOOPING and not paused:
        step.give_up(f"{HELD_REASONS[result.outcome]}: {result.detail}")
    elif result.outcome in FAILED_RESTARTS:
        attempts = record.attempts + 1
        step.update(attempts=attempts, not_before=now + policy.backoff(attempts, random_number))
        why = f"restart failed: {result.detail}"
        _hold(step, result.outcome, why, EventType.RESTART_FAILED, paused=paused)
    else:
        step.update(not_before=now + policy.hold_retry)
        why = HELD_REASONS[result.outcome] + (f" ({result.detail})" if result.detail else "")
        _hold(step, result.outcome, why, paused=paused)
    return step


def _count_restart(
    step: Step,
    pending: PendingRestart,
    result: RestartResult,
    policy: Policy,
    random_number: float,
) -> None:
    record, now = step.record, step.now
    elsewhere = result.outcome is RestartOutcome.FRESH
    started = result.started_at if elsewhere and result.started_at is not None else now
    streak = record.streak + 1
    step.update(
        restarts=(*record.restarts, now)[-policy.restarts.limit :],
        restarts_total=record.restarts_total + (0 if elsewhere else 1),
        streak=streak,
        not_before=now + policy.backoff(streak, random_number),
        grace_until=started + policy.start_grace,
        failures=0,
        successes=0,
        failing_since=None,
        loading_since=None,
        draining_since=None,
        held="",
        attempts=0,
        reported=(),
        known_start=started,
        last_restart_at=started,
        last_restart_code="elsewhere" if elsewhere else pending.code,
        last_restart_reason=pending.reason,
    )
    if elsewhere:
        reason = f"restarted by Docker or a person since it last served: {result.detail}"
        step.add_event(EventType.RESTARTED_ELSEWHERE, reason, code="elsewhere")
    else:
        found = f" (container: {result.detail})" if result.detail else ""
        step.add_event(EventType.RESTARTED, f"{pending.reason}{found}", code=pending.code)
    if policy.start_grace > 0 and record.healthy is not True:
        step.enter(State.STARTING, "starting after a restart", "starting")


def _hold(
    step: Step,
    outcome: RestartOutcome,
    why: str,
    event_type: EventType = EventType.RESTART_HELD,
    *,
    paused: bool,
    alert: bool = True,
) -> None:
    """Report why a restart does not happen, once for each outcome: its text may change from one
    attempt to the next."""
    step.update(held=why)
    if outcome in step.record.reported:
        return
    step.add_event(event_type, why, code=event_type.value, alert=alert and not paused)
    if not paused:
        reported = (*step.record.reported, outcome)
        # This alert is sent while the service flaps too, so one must follow when it recovers.
        step.update(reported=reported, alerted=step.record.alerted or alert)
