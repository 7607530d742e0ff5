"""Decisions after a check: a pure state machine for each service, without clock or network."""

from __future__ import annotations

from dataclasses import replace

from app.monitor.decisions.records import (
    DEPENDENCY,
    CheckContext,
    EventType,
    PendingRestart,
    Policy,
    ServiceRecord,
    Step,
)
from app.monitor.decisions.states import FAILED, SERVING, State, Verdict


def apply_verdict(
    record: ServiceRecord, service: str, verdict: Verdict, policy: Policy, context: CheckContext
) -> Step:
    """The new record after a check, the events, and whether a restart is due."""
    step = Step(record, service, context.now)
    step.update(checked_at=context.now, latency=verdict.latency)
    if verdict.state is State.UNKNOWN:
        step.enter(State.UNKNOWN, verdict.reason, verdict.code)
        return step
    if verdict.state in (State.LOADING, State.DRAINING):
        verdict = _limit_waiting(step, verdict, policy)
    if verdict.state in FAILED:
        _fail(step, verdict, policy, context)
    elif verdict.state in SERVING:
        _serve(step, verdict, policy)
    else:
        step.update(failures=0, successes=0, failing_since=None)
        step.enter(verdict.state, verdict.reason, verdict.code)
    _update_flapping(step, policy)
    _mark_alerts(step, context)
    _decide_restart(step, verdict, policy, context)
    return step


def _limit_waiting(step: Step, verdict: Verdict, policy: Policy) -> Verdict:
    """Loading and draining are failures only after their limit. Failures in between do not reset
    that time: a service that crashes while it loads would never reach the limit."""
    loading = verdict.state is State.LOADING
    begun = step.record.loading_since if loading else step.record.draining_since
    if begun is None:
        begun = step.now
        step.update(**{"loading_since" if loading else "draining_since": begun})
    limit = policy.start_grace if loading else policy.thresholds.drain_limit
    lasted = step.now - begun
    if lasted <= limit or step.now < step.record.grace_until:
        return verdict
    reason = f"{verdict.reason} for {lasted:.0f} s, longer than the limit of {limit:.0f} s"
    return Verdict(State.DOWN, f"{verdict.code}_too_long", reason, verdict.latency)


def _serve(step: Step, verdict: Verdict, policy: Policy) -> None:
    record = step.record
    step.update(
        failures=0,
        failing_since=None,
        successes=record.successes + 1,
        loading_since=None,
        draining_since=None,
        grace_until=0.0,
        known_start=step.now,
        last_good=True,
        changes=_recent_changes(record, True, step.now, policy),
    )
    if record.healthy is False and step.record.successes < policy.thresholds.recover_after:
        return
    if record.healthy is not True:
        step.update(
            healthy=True, healthy_since=step.now, held="", gave_up_at=None, attempts=0, reported=()
        )
        if record.healthy is False:
            step.add_event(EventType.RECOVERED, verdict.reason)
    elif record.streak and _is_stable(record, policy, step.now):
        step.update(streak=0)
    if step.record.flapping:
        step.enter(State.DEGRADED, f"flapping; now {verdict.reason}", "flapping")
    else:
        step.enter(verdict.state, verdict.reason, verdict.code)


def _is_stable(record: ServiceRecord, policy: Policy, now: float) -> bool:
    return now - (record.healthy_since or now) >= policy.restarts.stable_after


def _fail(step: Step, verdict: Verdict, policy: Policy, context: CheckContext) -> None:
    record = step.record
    begun = step.now if context.begun is None else context.begun
    if verdict.excusable and context.failed_dependencies:
        names = ", ".join(context.failed_dependencies)
        step.update(failures=0, successes=0, failing_since=None)
        step.enter(State.DEGRADED, f"waits for {names}: {verdict.reason}", DEPENDENCY)
        return
    if step.now < record.grace_until and verdict.state is not State.STALLED:
        step.update(failures=0, successes=0, failing_since=None)
        step.enter(State.STARTING, f"starting: {verdict.reason}", "starting")
        return
    step.update(
        failures=record.failures + 1,
        successes=0,
        failing_since=begun if record.failing_since is None else record.failing_since,
        last_good=False,
        changes=_recent_changes(record, False, step.now, policy),
    )
    if record.healthy is not False and _is_undecided(step.record, verdict, policy, context):
        step.update(reason=f"{record.state.value}, but the last check failed: {verdict.reason}")
        return
    if record.healthy is not False:
        step.update(healthy=False, healthy_since=None)
        step.add_event(EventType.FAILED, verdict.reason, code=verdict.code)
    step.enter(verdict.state, verdict.reason, verdict.code)


def _is_undecided(
    record: ServiceRecord, verdict: Verdict, policy: Policy, context: CheckContext
) -> bool:
    """Whether there are too few failures, or a dependency may explain them that was not seen
    healthy since they began."""
    if record.failures < policy.thresholds.fail_after or record.failing_since is None:
        return True
    return verdict.excusable and context.dependencies_healthy_at < record.failing_since


def _recent_changes(
    record: ServiceRecord, good: bool, now: float, policy: Policy
) -> tuple[float, ...]:
    """Times within the flap window at which checks changed between passed and failed."""
    horizon = now - policy.thresholds.flap_window
    recent = tuple(at for at in record.changes if at > horizon) if record.changes else ()
    if record.last_good is None or record.last_good is good:
        return recent
    return (*recent, now)[-2 * policy.thresholds.flap_changes :]


def _update_flapping(step: Step, policy: Policy) -> None:
    """Start or end flapping; it ends at half the changes that started it. The end is an alert
    only for a healthy service, and not right after a single failed check."""
    horizon = step.now - policy.thresholds.flap_window
    count = sum(at > horizon for at in step.record.changes)
    limit = policy.thresholds.flap_changes
    if not step.record.flapping and count >= limit:
        step.update(flapping=True)
        minutes = policy.thresholds.flap_window / 60
        reason = f"changed between healthy and unhealthy {count} times within {minutes:.0f} min"
        step.add_event(EventType.FLAPPING, reason, code="flapping", alert=True)
    elif step.record.flapping and count <= limit // 2:
        failed = step.record.healthy is False
        if failed or step.record.failures == 0:
            step.update(flapping=False)
            step.add_event(EventType.SETTLED, "no longer flapping", alert=not failed)


def _mark_alerts(step: Step, context: CheckContext) -> None:
    """Mark the events that send an alert: none in a pause, and one while it flaps."""
    if context.paused:
        step.events = [replace(event, alert=False) for event in step.events]
        return
    record = step.record
    if record.healthy is False and not record.alerted and not record.flapping:
        step.update(alerted=True)
        _mark(step, EventType.FAILED, record.reason, record.code)
    elif record.healthy is True and record.alerted:
        step.update(alerted=False)
        _mark(step, EventType.RECOVERED, record.reason, record.code)


def _mark(step: Step, event_type: EventType, reason: str, code: str) -> None:
    """Mark the event of this type, or add one if it occurred in a pause."""
    for index, event in enumerate(step.events):
        if event.type is event_type:
            step.events[index] = replace(event, alert=True)
            return
    step.add_event(event_type, reason, code=code, alert=True)


def _decide_restart(step: Step, verdict: Verdict, policy: Policy, context: CheckContext) -> None:
    """Request a restart if one is due."""
    record = step.record
    if record.healthy is not False or verdict.state not in FAILED or record.state not in FAILED:
        return
    if not policy.restart or context.paused:
        return
    if record.pending or record.gave_up_at is not None or step.now < record.not_before:
        return
    recent = tuple(at for at in record.restarts if at > step.now - policy.restarts.window)
    step.update(restarts=recent)
    if len(recent) >= policy.restarts.limit:
        minutes = policy.restarts.window / 60
        step.give_up(f"{len(recent)} restarts within {minutes:.0f} min did not help")
        return
    step.update(
        # Of an earlier request: this one is under way.
        held="",
        pending=PendingRestart(
            failing_since=record.failing_since or step.now,
            known_start=record.known_start,
            second_opinion=verdict.unreachable,
            code=verdict.code,
            reason=verdict.reason,
        ),
    )
    step.add_event(EventType.RESTART_REQUESTED, verdict.reason, code=verdict.code)
