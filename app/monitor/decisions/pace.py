"""When a service is checked next: more often while its state is undecided, at common ticks."""

from __future__ import annotations

import math

from app.monitor.decisions.records import ServiceRecord
from app.monitor.decisions.states import SERVING

EAGER_TIME = 300.0
"""Seconds for which an undecided or starting service is checked at the retry interval."""

EAGER_AT_ONCE = 20
"""Undecided services that are checked at the retry interval; more of them share the same rate."""

TICK = 0.5
"""Seconds, approximately. Checks at the same pace start at common ticks, so that the event loop
wakes up once for many services: that halves the CPU time of 500 of them."""

TICKS = 10
"""Least number of ticks within a pace, however short it is."""

SHORTEST_PAUSE = 0.05
"""Seconds between two checks of a service whose checks take longer than its pace."""


class Pace:
    """Seconds between two checks of each service.

    :param interval: between two checks of a healthy service.
    :param retry_interval: between two checks of an undecided one.
    """

    def __init__(self, interval: float, retry_interval: float) -> None:
        self.interval = interval
        self._retry_interval = retry_interval
        self._eager: set[str] = set()

    def seconds(self, name: str, record: ServiceRecord, now: float) -> float:
        """The retry interval for a while if the state is undecided; longer if that holds for so
        many services at once that it would cost too much."""
        settled = record.healthy is True and record.failures == 0 and record.state in SERVING
        begun = max(record.since, record.last_restart_at or 0.0, record.failing_since or 0.0)
        if settled or now - begun >= EAGER_TIME:
            self._eager.discard(name)
            return self.interval
        self._eager.add(name)
        share = max(1.0, len(self._eager) / EAGER_AT_ONCE)
        return min(self.interval, self._retry_interval * share)

    def forget(self, name: str) -> None:
        """Drop a service that is no longer checked."""
        self._eager.discard(name)


def next_check_at(due: float, pace: float, now: float) -> float:
    """The tick nearest to the due time, of those that all checks at this pace share."""
    tick = pace / max(TICKS, math.ceil(pace / TICK))
    return max(now + SHORTEST_PAUSE, round(due / tick) * tick)
