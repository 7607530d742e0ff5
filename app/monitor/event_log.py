"""Log lines about the services: one for each event, and details every few checks."""

from __future__ import annotations

from app.monitor.decisions.records import Event, EventType, ServiceRecord
from app.monitor.decisions.states import FAILED, Verdict
from app.monitor.settings import Service
from app.shared.json_log import Log

log = Log("monitor")

DETAIL_EVERY = 10
"""Checks of a service between two detailed log lines."""

MESSAGES = {
    EventType.STATE: "state changed",
    EventType.FAILED: "service failed",
    EventType.RECOVERED: "service recovered",
    EventType.RESTART_REQUESTED: "restart requested",
    EventType.RESTARTED: "service restarted",
    EventType.RESTARTED_ELSEWHERE: "service restarted by Docker or a person",
    EventType.RESTART_HELD: "restart withheld",
    EventType.RESTART_FAILED: "restart failed",
    EventType.GAVE_UP: "restarts given up",
    EventType.FLAPPING: "flapping started",
    EventType.SETTLED: "flapping ended",
    EventType.PAUSED: "pause started",
    EventType.RESUMED: "pause ended",
}
WARNINGS = (EventType.FAILED, EventType.GAVE_UP, EventType.RESTART_FAILED)


def log_event(event: Event) -> None:
    """Log an event at once."""
    failing = event.after in FAILED or event.type in WARNINGS
    write = log.warning if failing else log.info
    write(
        MESSAGES[event.type],
        service=event.service,
        before=event.before and event.before.value,
        after=event.after and event.after.value,
        reason=event.reason,
        code=event.code or None,
        alert=event.alert or None,
    )


def log_check(
    service: Service, record: ServiceRecord, verdict: Verdict, checks: int, now: float
) -> None:
    """Log the details of a service at every `DETAIL_EVERY`th check."""
    if checks % DETAIL_EVERY:
        return
    log.info(
        "service checked",
        service=service.name,
        kind=service.kind.value,
        state=record.state.value,
        seconds_in_state=round(now - record.since),
        reason=record.reason,
        latency_ms=None if verdict.latency is None else round(verdict.latency * 1000, 1),
        checks=checks,
        failures=record.failures or None,
        restarts=record.restarts_total or None,
        held=record.held or None,
    )
