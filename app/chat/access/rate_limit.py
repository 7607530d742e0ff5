"""Limits how many requests one key may make in a minute."""

from __future__ import annotations

from collections.abc import Callable


class MinuteBudget:
    """A bucket that holds a minute's requests and fills up evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._size = float(per_minute)
        self._per_second = per_minute / 60
        self._left = self._size
        self._clock = clock
        self._looked = clock()

    def take(self) -> float:
        """Use up one request: 0; or, when none is left, the seconds until there is one again."""
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._looked) * self._per_second)
        self._looked = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
