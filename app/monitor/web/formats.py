"""Numbers and times as text for people."""

from __future__ import annotations

from datetime import UTC, datetime


def percent(share: float | None) -> str:
    """A share as a percentage; only exactly 1 is shown as 100 %."""
    if share is None:
        return "no data"
    if share == 1:
        return "100 %"
    return f"{min(share * 100, 99.99):.2f} %"


def milliseconds(seconds: float | None) -> str:
    """A latency."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def date_and_time(at: float) -> str:
    """A point in time, in UTC."""
    return time_as(at, "%d %b %Y %H:%M:%S UTC")


def time_as(at: float, form: str) -> str:
    """A point in time in a format of strftime, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime(form)
