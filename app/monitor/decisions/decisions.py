"""What to make of a check: a pure state machine per service, without clock, network or chance.

`observe` takes what is remembered of a service and a verdict, `answered` takes what the
restarter said; both give back what to remember, and what happened. Times are seconds since
the epoch. Everything remembered is plain data, so it survives a restart of the monitor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.monitor.decisions.states import FAILED, SERVING, State, Verdict
from app.monitor.settings import RestartSettings, Thresholds

JITTER = 0.2
"""The random share of a backoff, to both sides."""


class Happening(StrEnum):
    """What can happen to a service, as told in logs, incidents and alerts."""

    STATE = "state"
    FAILED = "failed"
    RECOVERED = "recovered"
    RESTART_ASKED = "restart_asked"
    RESTARTED = "restarted"
    RESTARTED_ELSEWHERE = "restarted_elsewhere"
    RESTART_HELD = "restart_held"
    RESTART_FAILED = "restart_failed"
    GAVE_UP = "gave_up"
    FLAPPING = "flapping"
    SETTLED = "settled"
    PAUSED = "paused"
    RESUMED = "resumed"


class Outcome(StrEnum):
    """What the restarter can answer. The last one stands for no answer from it at all."""

    RESTARTED = "restarted"
    FRESH = "fresh"
    WAIT = "wait"
    HEALTHY_INSIDE = "healthy_inside"
    STOPPED_BY_HAND = "stopped_by_hand"
    LOOPING = "looping"
    NOT_FOUND = "not_found"
    SWARM = "swarm"
    REFUSED = "refused"
    ENGINE_FAILED = "engine_failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a service. `alert`: people are to be told."""

    happening: Happening
    service: str
    at: float
    reason: str
    code: str = ""
    before: State | None = None
    after: State | None = None
    alert: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """A restart that was decided on, and whose answer is not yet known.

    `known_start`: a container that was started later is one that the monitor has not yet seen
    fail, be it that Docker restarted it, a person, or this very decision, carried out already.
    """

    asked_at: float
    failing_since: float
    known_start: float
    second_opinion: bool
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RestartAnswer:
    """What the restarter answered. `started_at`: when the container now running was started."""

    outcome: Outcome
    detail: str = ""
    started_at: float | None = None
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered of a service from check to check.

    `known_start`: the container it knows was started before this time.
    `healthy`: the confirmed judgement; None until there is one. `streak`: restarts since it
    was last stable. `restarts`: times of those within the window. `alerted`: people were told
    that it failed and not yet that it recovered. `held`: why a wanted restart does not happen.
    `patient_since`, `draining_since`: since when it loads or drains, or has begun to, and has
    not served. `attempts`: restarts that failed since one worked. `told`: the outcomes that
    people were told of since it last recovered or a restart worked.
    """

    state: State = State.UNKNOWN
    since: float = 0.0
    reason: str = "not checked yet"
    code: str = ""
    latency: float | None = None
    checked_at: float | None = None
    known_start: float = 0.0
    healthy: bool | None = None
    healthy_since: float | None = None
    failures: int = 0
    successes: int = 0
    failing_since: float | None = None
    patient_since: float | None = None
    draining_since: float | None = None
    grace_until: float = 0.0
    changes: tuple[float, ...] = ()
    last_good: bool | None = None
    flapping: bool = False
    alerted: bool = False
    restarts: tuple[float, ...] = ()
    restarts_total: int = 0
    streak: int = 0
    not_before: float = 0.0
    attempts: int = 0
    told: tuple[Outcome, ...] = ()
    pending: Pending | None = None
    last_restart_at: float | None = None
    last_restart_code: str = ""
    last_restart_reason: str = ""
    held: str = ""
    gave_up_at: float | None = None
    paused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules for one service."""

    thresholds: Thresholds
    restarts: RestartSettings
    start_grace: float
    restart: bool
    hold_retry: float = 120.0
    """Seconds until a restart that the restarter withheld is requested again."""


@dataclass(frozen=True, slots=True)
class World:
    """What surrounds a check: the time, a pause, and how the dependencies are.

    `dependencies_fine_at`: until when all dependencies are known to have been well.
    """

    now: float
    paused: bool = False
    failed_dependencies: tuple[str, ...] = ()
    dependencies_fine_at: float = math.inf


@dataclass(slots=True)
class Step:
    """The result of a decision. `memory.pending` is set when a restart is to be asked for."""

    memory: Memory
    service: str
    now: float
    events: list[Event] = field(default_factory=list)

    def learn(self, **changes: object) -> None:
        """Replace fields of the memory."""
        self.memory = replace(self.memory, **changes)  # type: ignore[arg-type]

    def tell(
        self, happening: Happening, reason: str, *, code: str = "", alert: bool = False
    ) -> None:
        """Add an event."""
        self.events.append(Event(happening, self.service, self.now, reason, code=code, alert=alert))

    def enter(self, state: State, reason: str, code: str = "") -> None:
        """Set state and reason, with an event if the state is another than before."""
        before = self.memory
        if state is not before.state:
            self.events.append(
                Event(Happening.STATE, self.service, self.now, reason, code, before.state, state)
            )
            self.learn(state=state, reason=reason, code=code, since=self.now)
        elif (reason, code) != (before.reason, before.code):
            self.learn(reason=reason, code=code)


def can_serve(memory: Memory) -> bool:
    """Whether requests are answered, as far as is known."""
    return memory.state in SERVING and memory.code != "dependency"


def fine_at(memory: Memory) -> float:
    """When a service was last seen well, or the beginning of time where its last check failed."""
    return memory.checked_at or 0.0 if memory.failures == 0 else 0.0


def remember(start_grace: float, now: float) -> Memory:
    """The memory of a service that was never seen before; it may just be starting."""
    return Memory(since=now, known_start=now, grace_until=now + start_grace)


def observe(memory: Memory, service: str, verdict: Verdict, policy: Policy, world: World) -> Step:
    """Take in the verdict of one check."""
    step = Step(memory, service, world.now)
    step.learn(checked_at=world.now, latency=verdict.latency)
    if verdict.state is State.UNKNOWN:
        step.enter(State.UNKNOWN, verdict.reason, verdict.code)
        return step
    if verdict.state in (State.LOADING, State.DRAINING):
        verdict = _patience(step, verdict, policy)
    if verdict.state in FAILED:
        _fail(step, verdict, policy, world)
    elif verdict.state in SERVING:
        _serve(step, verdict, policy)
    else:
        step.learn(failures=0, successes=0, failing_since=None)
        step.enter(verdict.state, verdict.reason, verdict.code)
    _flap(step, policy)
    _alert(step, world)
    _decide(step, verdict, policy, world)
    return step


def _patience(step: Step, verdict: Verdict, policy: Policy) -> Verdict:
    """Loading and draining are no failures, unless they take longer than they may. Failures in
    between do not start that time anew: what crashes while it loads never gets further."""
    loading = verdict.state is State.LOADING
    begun = step.memory.patient_since if loading else step.memory.draining_since
    if begun is None:
        begun = step.now
        step.learn(**{"patient_since" if loading else "draining_since": begun})
    limit = policy.start_grace if loading else policy.thresholds.drain_limit
    lasted = step.now - begun
    if lasted <= limit or step.now < step.memory.grace_until:
        return verdict
    reason = f"{verdict.reason} for {lasted:.0f} s, longer than the {limit:.0f} s it may take"
    return Verdict(State.DOWN, f"{verdict.code}_too_long", reason, verdict.latency)


def _serve(step: Step, verdict: Verdict, policy: Policy) -> None:
    memory = step.memory
    step.learn(
        failures=0,
        failing_since=None,
        successes=memory.successes + 1,
        patient_since=None,
        draining_since=None,
        grace_until=0.0,
        known_start=step.now,
        last_good=True,
        changes=_changed(memory, True, step.now, policy),
    )
    if memory.healthy is False and step.memory.successes < policy.thresholds.recover_after:
        return
    if memory.healthy is not True:
        step.learn(
            healthy=True, healthy_since=step.now, held="", gave_up_at=None, attempts=0, told=()
        )
        if memory.healthy is False:
            step.tell(Happening.RECOVERED, verdict.reason)
    elif memory.streak and _stable(memory, policy, step.now):
        step.learn(streak=0)
    if step.memory.flapping:
        step.enter(State.DEGRADED, f"flapping; now {verdict.reason}", "flapping")
    else:
        step.enter(verdict.state, verdict.reason, verdict.code)


def _stable(memory: Memory, policy: Policy, now: float) -> bool:
    return now - (memory.healthy_since or now) >= policy.restarts.stable_after


def _fail(step: Step, verdict: Verdict, policy: Policy, world: World) -> None:
    memory = step.memory
    if verdict.excusable and world.failed_dependencies:
        names = ", ".join(world.failed_dependencies)
        step.learn(failures=0, successes=0, failing_since=None)
        step.enter(State.DEGRADED, f"waits for {names}: {verdict.reason}", "dependency")
        return
    if step.now < memory.grace_until and verdict.state is not State.STALLED:
        step.learn(failures=0, successes=0, failing_since=None)
        step.enter(State.STARTING, f"starting: {verdict.reason}", "starting")
        return
    step.learn(
        failures=memory.failures + 1,
        successes=0,
        failing_since=step.now if memory.failing_since is None else memory.failing_since,
        last_good=False,
        changes=_changed(memory, False, step.now, policy),
    )
    if memory.healthy is not False and _undecided(step.memory, verdict, policy, world):
        step.learn(reason=f"{memory.state.value}, but the last check failed: {verdict.reason}")
        return
    if memory.healthy is not False:
        step.learn(healthy=False, healthy_since=None)
        step.tell(Happening.FAILED, verdict.reason, code=verdict.code)
    step.enter(verdict.state, verdict.reason, verdict.code)


def _undecided(memory: Memory, verdict: Verdict, policy: Policy, world: World) -> bool:
    """Too few failures, or ones that a dependency not seen well since they began may explain."""
    if memory.failures < policy.thresholds.fail_after or memory.failing_since is None:
        return True
    return verdict.excusable and world.dependencies_fine_at < memory.failing_since


def _changed(memory: Memory, good: bool, now: float, policy: Policy) -> tuple[float, ...]:
    """The times at which checks turned from good to bad or back, those that still count."""
    horizon = now - policy.thresholds.flap_window
    recent = tuple(at for at in memory.changes if at > horizon) if memory.changes else ()
    if memory.last_good is None or memory.last_good is good:
        return recent
    return (*recent, now)[-2 * policy.thresholds.flap_changes :]


def _flap(step: Step, policy: Policy) -> None:
    """Begin or end flapping; it ends at half the changes that began it. That is good news only
    of a service that is well, and a single failed check leaves it open."""
    horizon = step.now - policy.thresholds.flap_window
    count = sum(at > horizon for at in step.memory.changes)
    limit = policy.thresholds.flap_changes
    if not step.memory.flapping and count >= limit:
        step.learn(flapping=True)
        minutes = policy.thresholds.flap_window / 60
        reason = f"turned between good and bad {count} times within {minutes:.0f} min"
        step.tell(Happening.FLAPPING, reason, code="flapping", alert=True)
    elif step.memory.flapping and count <= limit // 2:
        failed = step.memory.healthy is False
        if failed or step.memory.failures == 0:
            step.learn(flapping=False)
            step.tell(Happening.SETTLED, "no longer flapping", alert=not failed)


def _alert(step: Step, world: World) -> None:
    """Mark what people are to be told: nothing in a pause, one alert while it flaps."""
    if world.paused:
        step.events = [replace(event, alert=False) for event in step.events]
        return
    memory = step.memory
    if memory.healthy is False and not memory.alerted and not memory.flapping:
        step.learn(alerted=True)
        _mark(step, Happening.FAILED, memory.reason, memory.code)
    elif memory.healthy is True and memory.alerted:
        step.learn(alerted=False)
        _mark(step, Happening.RECOVERED, memory.reason, memory.code)


def _mark(step: Step, happening: Happening, reason: str, code: str) -> None:
    """Make the event of this kind an alert, or add one where the event came in a pause."""
    for index, event in enumerate(step.events):
        if event.happening is happening:
            step.events[index] = replace(event, alert=True)
            return
    step.tell(happening, reason, code=code, alert=True)


def _decide(step: Step, verdict: Verdict, policy: Policy, world: World) -> None:
    """Ask for a restart, if one is due."""
    memory = step.memory
    if memory.healthy is not False or verdict.state not in FAILED or memory.state not in FAILED:
        return
    if not policy.restart or world.paused:
        return
    if memory.pending or memory.gave_up_at is not None or step.now < memory.not_before:
        return
    recent = tuple(at for at in memory.restarts if at > step.now - policy.restarts.window)
    step.learn(restarts=recent)
    if len(recent) >= policy.restarts.limit:
        minutes = policy.restarts.window / 60
        _give_up(step, f"{len(recent)} restarts within {minutes:.0f} min did not help")
        return
    step.learn(
        pending=Pending(
            asked_at=step.now,
            failing_since=memory.failing_since or step.now,
            known_start=memory.known_start,
            second_opinion=verdict.unreachable,
            code=verdict.code,
            reason=verdict.reason,
        )
    )
    step.tell(Happening.RESTART_ASKED, verdict.reason, code=verdict.code)


def _give_up(step: Step, why: str) -> None:
    step.learn(gave_up_at=step.now, held=why, alerted=True)
    step.tell(Happening.GAVE_UP, f"{why}; last: {step.memory.reason}", code="gave_up", alert=True)


def answered(
    memory: Memory,
    service: str,
    answer: RestartAnswer,
    policy: Policy,
    now: float,
    chance: float,
    *,
    paused: bool = False,
) -> Step:
    """Take in the restarter's answer to the pending question.

    `chance` is a random number from 0 to 1 for the jitter of the backoff. Of a service that has
    recovered since, only restarts that were done are news. In a pause people are told nothing;
    what still holds after it is told when it is found again.
    """
    step = Step(memory, service, now)
    pending = memory.pending
    step.learn(pending=None)
    if pending is None:
        return step
    if answer.outcome in (Outcome.RESTARTED, Outcome.FRESH):
        _restarted(step, pending, answer, policy, chance)
    elif memory.healthy is True:
        pass
    elif answer.outcome is Outcome.WAIT:
        step.learn(not_before=now + (answer.wait or policy.thresholds.retry_interval))
        why = f"waits for the container's own health check: {answer.detail}"
        _hold(step, answer.outcome, why, paused=paused, alert=False)
    elif answer.outcome is Outcome.LOOPING and not paused:
        _give_up(step, f"{_HELD[answer.outcome]}: {answer.detail}")
    elif answer.outcome in (Outcome.UNREACHABLE, Outcome.ENGINE_FAILED, Outcome.REFUSED):
        attempts = memory.attempts + 1
        step.learn(attempts=attempts, not_before=now + _backoff(policy, attempts, chance))
        why = f"restart failed: {answer.detail}"
        _hold(step, answer.outcome, why, Happening.RESTART_FAILED, paused=paused)
    else:
        step.learn(not_before=now + policy.hold_retry)
        why = _HELD[answer.outcome] + (f" ({answer.detail})" if answer.detail else "")
        _hold(step, answer.outcome, why, paused=paused)
    return step


_HELD = {
    Outcome.LOOPING: "Docker already restarts it over and over",
    Outcome.HEALTHY_INSIDE: "healthy inside its container, so the network to it is at fault",
    Outcome.STOPPED_BY_HAND: "stopped by hand, so left alone",
    Outcome.NOT_FOUND: "no container of this stack carries its label",
    Outcome.SWARM: "a Swarm task, which Swarm itself replaces",
}


def _restarted(
    step: Step, pending: Pending, answer: RestartAnswer, policy: Policy, chance: float
) -> None:
    memory, now = step.memory, step.now
    elsewhere = answer.outcome is Outcome.FRESH
    started = answer.started_at if elsewhere and answer.started_at is not None else now
    streak = memory.streak + 1
    step.learn(
        restarts=(*memory.restarts, now)[-policy.restarts.limit :],
        restarts_total=memory.restarts_total + (0 if elsewhere else 1),
        streak=streak,
        not_before=now + _backoff(policy, streak, chance),
        grace_until=started + policy.start_grace,
        failures=0,
        successes=0,
        failing_since=None,
        patient_since=None,
        draining_since=None,
        held="",
        attempts=0,
        told=(),
        known_start=started,
        last_restart_at=started,
        last_restart_code="elsewhere" if elsewhere else pending.code,
        last_restart_reason=pending.reason,
    )
    if elsewhere:
        reason = f"was restarted by another hand since it last worked: {answer.detail}"
        step.tell(Happening.RESTARTED_ELSEWHERE, reason, code="elsewhere")
    else:
        found = f" (found {answer.detail})" if answer.detail else ""
        step.tell(Happening.RESTARTED, f"{pending.reason}{found}", code=pending.code)
    if policy.start_grace > 0 and memory.healthy is not True:
        step.enter(State.STARTING, "starting after a restart", "starting")


def _backoff(policy: Policy, streak: int, chance: float) -> float:
    rules = policy.restarts
    delay = min(rules.backoff_max, rules.backoff * 2.0 ** min(streak - 1, 30))
    return delay * (1 + JITTER * (2 * chance - 1))


def _hold(
    step: Step,
    outcome: Outcome,
    why: str,
    happening: Happening = Happening.RESTART_HELD,
    *,
    paused: bool,
    alert: bool = True,
) -> None:
    """Say why a restart does not happen, once for each outcome, as its text may change from one
    attempt to the next."""
    step.learn(held=why)
    if outcome in step.memory.told:
        return
    step.tell(happening, why, code=happening.value, alert=alert and not paused)
    if not paused:
        told = (*step.memory.told, outcome)
        # Told while it flaps, too, so its recovery has to be.
        step.learn(told=told, alerted=step.memory.alerted or alert)


def pause(memory: Memory, service: str, until: float, now: float) -> Step:
    """Stop restarts and alerts until a time."""
    step = Step(memory, service, now)
    step.learn(paused_until=until)
    step.tell(Happening.PAUSED, f"paused for {until - now:.0f} s")
    return step


def resume(memory: Memory, service: str, now: float) -> Step:
    """End a pause, and take up restarts again after the monitor gave up."""
    step = Step(memory, service, now)
    step.learn(
        paused_until=0.0,
        gave_up_at=None,
        held="",
        restarts=(),
        streak=0,
        not_before=0.0,
        attempts=0,
        told=(),
    )
    step.tell(Happening.RESUMED, "resumed by hand")
    return step
