"""Numbers and times as text for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


def percent(share: float | None) -> str:
    """A share as a percentage; only exactly 1 is shown as 100 %, and only 0 as 0 %."""
    if share is None:
        return "No data"
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    return f"{min(max(share * 100, 0.01), 99.99):.2f} %"


def milliseconds(seconds: float | None) -> str:
    """A latency."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time on a page: the script shows it in the reader's time zone, in this form."""

    iso: str
    form: str
    text: str
    """In UTC, for a page without its script."""


FORMS = {
    "full": "%d %b %Y, %H:%M:%S UTC",
    "minute": "%d %b, %H:%M UTC",
    "time": "%H:%M:%S",
    "day": "%d %b",
}


def moment(at: float, form: str = "full") -> Moment:
    """A point in time in one of the forms."""
    then = datetime.fromtimestamp(at, UTC)
    iso = then.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Moment(iso, form, then.strftime(FORMS[form]))
