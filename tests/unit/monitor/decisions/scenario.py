"""A service whose checks and restarts a test plays, with its own clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from app.monitor.decisions.after_check import apply_verdict
from app.monitor.decisions.after_restart import apply_restart_result
from app.monitor.decisions.records import (
    CheckContext,
    Event,
    EventType,
    Policy,
    RestartOutcome,
    RestartResult,
    ServiceRecord,
    new_record,
)
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import RestartSettings, Thresholds

OK = Verdict(State.OK, "ok", "HTTP 200")
BUSY = Verdict(State.BUSY, "busy", "2 of 2 slots busy")
LOADING = Verdict(State.LOADING, "loading", "loads its model")
DRAINING = Verdict(State.DRAINING, "draining", "drains")
REFUSED = Verdict(State.DOWN, "refused", "connection refused")
SILENT = Verdict(State.DOWN, "timeout", "no response within 10 s", unreachable=True)
STALLED = Verdict(State.STALLED, "no_progress", "1 of 1 slots busy, no token for 121 s")
NOT_READY = Verdict(State.DOWN, "not_ready", "not ready: HTTP 503", excusable=True)
UNKNOWN = Verdict(State.UNKNOWN, "check_failed", "the check itself failed")

POLICY = Policy(
    thresholds=Thresholds(fail_after=3, recover_after=2, flap_changes=6, flap_window=900),
    restarts=RestartSettings(backoff=30, limit=3, window=3600, stable_after=600),
    start_grace=60,
    restart=True,
)


@dataclass
class Scenario:
    """A service with its own clock, and a restarter that returns a set outcome."""

    policy: Policy = POLICY
    outcome: RestartOutcome = RestartOutcome.RESTARTED
    now: float = 1_000_000.0
    record: ServiceRecord = field(default_factory=ServiceRecord)
    events: list[Event] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    requested: int = 0
    failed_dependencies: tuple[str, ...] = ()
    dependencies_healthy_at: float = math.inf
    paused: bool = False

    def __post_init__(self) -> None:
        self.record = new_record(self.policy.start_grace, self.now)

    def check(self, *verdicts: Verdict, every: float = 5.0) -> Scenario:
        for verdict in verdicts:
            paused = self.paused or self.now < self.record.paused_until
            context = CheckContext(
                self.now, paused, self.failed_dependencies, self.dependencies_healthy_at
            )
            step = apply_verdict(self.record, "phi", verdict, self.policy, context)
            self.record = step.record
            self.events += step.events
            if self.record.pending:
                self.restart()
            self.now += every
        return self

    def restart(self) -> None:
        self.requested += 1
        if self.outcome is RestartOutcome.RESTARTED:
            self.restarts.append(self.now)
        result = RestartResult(self.outcome, started_at=self.now, wait=7)
        step = apply_restart_result(self.record, "phi", result, self.policy, self.now, 0.5)
        self.record = step.record
        self.events += step.events

    def alerts(self) -> list[EventType]:
        return [event.type for event in self.events if event.alert]

    def event_types(self) -> list[EventType]:
        return [event.type for event in self.events]


def healthy() -> Scenario:
    return Scenario().check(OK, OK)


def broken(**changes: object) -> Scenario:
    scenario = healthy()
    for key, value in changes.items():
        setattr(scenario, key, value)
    return scenario.check(REFUSED, REFUSED, REFUSED)
