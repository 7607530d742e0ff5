"""Pause and resume: commands of a person about one service."""

from __future__ import annotations

from app.monitor.decisions.records import EventType, ServiceRecord, Step


def pause(record: ServiceRecord, service: str, until: float, now: float) -> Step:
    """Stop restarts and alerts until a time."""
    step = Step(record, service, now)
    step.update(paused_until=until)
    step.add_event(EventType.PAUSED, f"paused for {until - now:.0f} s")
    return step


def resume(record: ServiceRecord, service: str, now: float) -> Step:
    """End a pause, and allow restarts again after the monitor gave up."""
    step = Step(record, service, now)
    step.update(
        paused_until=0.0,
        gave_up_at=None,
        held="",
        restarts=(),
        streak=0,
        not_before=0.0,
        attempts=0,
        reported=(),
    )
    step.add_event(EventType.RESUMED, "resumed by hand")
    return step
