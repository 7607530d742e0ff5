"""Data of the decisions: the record of a service, events, restarts, and one step.

Times are seconds since the epoch. A record is plain data, so it survives a restart of the monitor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated

from app.monitor.decisions.states import SERVING, State
from app.monitor.renamed_fields import formerly
from app.monitor.settings import RestartSettings, Thresholds

JITTER = 0.2
"""Random share of a backoff, in both directions."""

HOLD_RETRY = 120.0
"""Seconds until a restart that the restarter withheld is requested again."""

DEPENDENCY = "dependency"
"""Code of a service that works, but waits for another."""


class EventType(StrEnum):
    """What can happen to a service, for logs, incidents and alerts."""

    STATE = "state"
    FAILED = "failed"
    RECOVERED = "recovered"
    RESTART_REQUESTED = "restart_requested"
    RESTARTED = "restarted"
    RESTARTED_ELSEWHERE = "restarted_elsewhere"
    RESTART_HELD = "restart_held"
    RESTART_FAILED = "restart_failed"
    GAVE_UP = "gave_up"
    FLAPPING = "flapping"
    SETTLED = "settled"
    PAUSED = "paused"
    RESUMED = "resumed"


class RestartOutcome(StrEnum):
    """Outcomes that the restarter returns, and one for a restarter that does not respond."""

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
    """One event of a service. `alert`: an alert is sent for it."""

    type: EventType
    service: str
    at: float
    reason: str
    code: str = ""
    before: State | None = None
    after: State | None = None
    alert: bool = False


@dataclass(frozen=True, slots=True)
class PendingRestart:
    """A restart that was decided, and whose result is not known yet.

    `known_start`: the monitor has not yet seen a container fail that was started later, whether
    Docker restarted it, a person, or an earlier request for this same restart.
    """

    failing_since: float
    known_start: float
    second_opinion: bool
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RestartResult:
    """Response of the restarter. `started_at`: start of the container that runs now."""

    outcome: RestartOutcome
    detail: str = ""
    started_at: float | None = None
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """All that is kept of a service from check to check.

    `known_start`: the container that was last seen serving was started before this time.
    `healthy`: the confirmed judgement; None until there is one. `alerted`: an alert for the
    failure was sent, and none for the recovery yet. `held`: why a needed restart is withheld.
    `restarts`: times of those within the window. `streak`: restarts since it was last stable.
    `attempts`: failed restarts since the last one that was done. `loading_since`,
    `draining_since`: since when it loads or drains without having served in between.
    `reported`: outcomes that were reported since it last recovered or was restarted.
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
    loading_since: Annotated[float | None, formerly("loading_since", "patient_since")] = None
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
    reported: Annotated[tuple[RestartOutcome, ...], formerly("reported", "told")] = ()
    pending: PendingRestart | None = None
    last_restart_at: float | None = None
    last_restart_code: str = ""
    last_restart_reason: str = ""
    held: str = ""
    gave_up_at: float | None = None
    paused_until: float = 0.0


def new_record(start_grace: float, now: float) -> ServiceRecord:
    """The record of a service that was never checked; it may just be starting."""
    return ServiceRecord(since=now, known_start=now, grace_until=now + start_grace)


def is_serving(record: ServiceRecord) -> bool:
    """Whether the service responds to requests, as far as is known."""
    return record.state in SERVING and record.code != DEPENDENCY


def last_healthy_at(record: ServiceRecord) -> float:
    """Time of the last check if it passed, else 0."""
    return record.checked_at or 0.0 if record.failures == 0 else 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules for one service."""

    thresholds: Thresholds
    restarts: RestartSettings
    start_grace: float
    restart: bool
    hold_retry: float = HOLD_RETRY

    def backoff(self, streak: int, random_number: float) -> float:
        """Seconds until the next restart, after so many; `random_number` is from 0 to 1."""
        rules = self.restarts
        delay = min(rules.backoff_max, rules.backoff * 2.0 ** min(streak - 1, 30))
        return delay * (1 + JITTER * (2 * random_number - 1))


@dataclass(frozen=True, slots=True)
class CheckContext:
    """Circumstances of a check: the time, a pause, and the state of the dependencies.

    `begun`: when the check began, which may be its whole time limit ago; None: now.
    `dependencies_healthy_at`: until when all dependencies are known to have been healthy.
    """

    now: float
    paused: bool = False
    failed_dependencies: tuple[str, ...] = ()
    dependencies_healthy_at: float = math.inf
    begun: float | None = None


@dataclass(slots=True)
class Step:
    """Result of a decision. With `record.pending`, a restart is to be requested."""

    record: ServiceRecord
    service: str
    now: float
    events: list[Event] = field(default_factory=list)

    def update(self, **changes: object) -> None:
        """Replace fields of the record."""
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]

    def add_event(
        self, event_type: EventType, reason: str, *, code: str = "", alert: bool = False
    ) -> None:
        """Add an event."""
        event = Event(event_type, self.service, self.now, reason, code=code, alert=alert)
        self.events.append(event)

    def enter(self, state: State, reason: str, code: str = "") -> None:
        """Set state and reason, with an event if the state changes."""
        before = self.record
        if state is not before.state:
            self.events.append(
                Event(EventType.STATE, self.service, self.now, reason, code, before.state, state)
            )
            self.update(state=state, reason=reason, code=code, since=self.now)
        elif (reason, code) != (before.reason, before.code):
            self.update(reason=reason, code=code)

    def give_up(self, why: str) -> None:
        """Stop restarting until the service recovers or is resumed by hand."""
        self.update(gave_up_at=self.now, held=why, alerted=True)
        reason = f"{why}; last: {self.record.reason}"
        self.add_event(EventType.GAVE_UP, reason, code="gave_up", alert=True)
