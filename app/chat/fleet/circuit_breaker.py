"""Stops sending requests to a replica for a while, after several failures in a row."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from app.chat.settings import Breaker


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Closed: allows requests. Open: allows none until the cool-down ends. Half open: allows one.

    Each failed trial doubles the cool-down, up to the longest; one success closes the breaker.
    """

    def __init__(self, settings: Breaker, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._cool_down = settings.cool_down_seconds
        self._open_until: float | None = None
        self._trial_in_progress = False

    @property
    def state(self) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.seconds_left > 0 else BreakerState.HALF_OPEN

    @property
    def seconds_left(self) -> float:
        """Seconds until the cool-down ends."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    @property
    def allows_request(self) -> bool:
        state = self.state
        return state is BreakerState.CLOSED or (
            state is BreakerState.HALF_OPEN and not self._trial_in_progress
        )

    def request_started(self) -> None:
        """A request was sent to the replica."""
        if self.state is BreakerState.HALF_OPEN:
            self._trial_in_progress = True

    def succeeded(self) -> None:
        self._failures = 0
        self._cool_down = self._settings.cool_down_seconds
        self._open_until = None
        self._trial_in_progress = False

    def failed(self) -> None:
        self._failures += 1
        if self._trial_in_progress:
            longest = self._settings.longest_cool_down_seconds
            self._cool_down = min(self._cool_down * 2, longest)
        if self._trial_in_progress or self._failures >= self._settings.failures:
            self._open_until = self._clock() + self._cool_down
        self._trial_in_progress = False

    def no_result(self) -> None:
        """A request ended without a result, for example because its client disconnected."""
        self._trial_in_progress = False
