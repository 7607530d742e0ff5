"""Limits requests or tokens per minute."""

from __future__ import annotations

from collections.abc import Callable


class MinuteBudget:
    """A token bucket with the size of one minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._available = float(per_minute)
        self._clock = clock
        self._updated = clock()

    @property
    def available(self) -> float:
        """What can be taken now; negative after more was used than was available."""
        now = self._clock()
        refill = (now - self._updated) * self.per_minute / 60
        self._available = min(float(self.per_minute), self._available + refill)
        self._updated = now
        return self._available

    def resize(self, per_minute: int) -> None:
        """Change the limit; what was used stays used."""
        self._available = self.available + per_minute - self.per_minute
        self.per_minute = per_minute

    def take(self, amount: float = 1) -> float:
        """Take an amount; returns 0, or the seconds until it is available."""
        if wait := self.seconds_until(amount):
            return wait
        self._available -= amount
        return 0.0

    def use(self, amount: float) -> None:
        """Take an amount that was used already, or give a part back if it is negative."""
        self._available = min(float(self.per_minute), self.available - amount)

    def seconds_until(self, amount: float) -> float:
        """Seconds until the amount is available; 0 if it is now."""
        return max(0.0, amount - self.available) * 60 / self.per_minute
