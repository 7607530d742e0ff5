"""Maintenance windows: when the schedule of a stack stops alerts and restarts of services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.monitor.settings import WEEKDAYS, MaintenanceWindow

WITHOUT_END = 3600.0
"""Seconds after which a window that is over, or a clock, is looked at again."""


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """The present or next occurrence of a window, as found at a time."""

    found_at: float
    begins: float
    ends: float


class MaintenanceSchedule:
    """The windows of a stack."""

    def __init__(self, windows: Sequence[MaintenanceWindow]) -> None:
        self._windows = windows
        # A check of each of many services asks, so the calendar is read only when it has to be.
        self._found: dict[int, _Occurrence] = {}

    def until(self, service: str, now: float) -> float | None:
        """When the maintenance of a service ends; None outside of all its windows."""
        ends = [
            found.ends
            for index, window in enumerate(self._windows)
            if not window.services or service in window.services
            if (found := self._occurrence(index, now)).begins <= now < found.ends
        ]
        return max(ends, default=None)

    def _occurrence(self, index: int, now: float) -> _Occurrence:
        found = self._found.get(index)
        if found is None or not found.found_at <= now < found.ends:
            found = self._found[index] = _occurrence(self._windows[index], now)
        return found


def _occurrence(window: MaintenanceWindow, now: float) -> _Occurrence:
    zone = ZoneInfo(window.time_zone)
    today = datetime.fromtimestamp(now, zone).date()
    before = int(window.duration // 86_400) + 1
    days = [today + timedelta(days=offset) for offset in range(-before, 8)]
    for day in [window.date] if window.date else days:
        begins = datetime.combine(day, window.start, zone).timestamp()
        if _is_on(window, day) and begins + window.duration > now:
            return _Occurrence(now, begins, begins + window.duration)
    return _Occurrence(now, now + WITHOUT_END, now + WITHOUT_END)


def _is_on(window: MaintenanceWindow, day: date) -> bool:
    return bool(window.date) or not window.days or WEEKDAYS[day.weekday()] in window.days
