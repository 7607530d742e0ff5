"""Limits the requests per minute of one key."""

from __future__ import annotations

from collections.abc import Callable


class MinuteBudget:
    """A token bucket with the size of one minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._size = float(per_minute)
        self._per_second = per_minute / 60
        self._tokens = self._size
        self._clock = clock
        self._updated = clock()

    def take(self) -> float:
        """Take one request; returns 0, or the seconds until one is available."""
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._updated) * self._per_second)
        self._updated = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_second
        self._tokens -= 1
        return 0.0
