"""Rings: the last buckets of time of one length, in memory of fixed size.

SQLite was measured instead: the history would take 40 lines more, and 1 MB more of memory.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from app.monitor.decisions.states import State

QUARTER = 900
QUARTERS = 96
DAY = 86_400
DAYS = 90

# From best to worst; a bucket shows the worst state seen in it.
RANKS = (
    State.OK,
    State.BUSY,
    State.UNKNOWN,
    State.STARTING,
    State.LOADING,
    State.DRAINING,
    State.DEGRADED,
    State.STALLED,
    State.DOWN,
)
RANK = {state: rank for rank, state in enumerate(RANKS)}


@dataclass(frozen=True, slots=True)
class Bucket:
    """What the checks in a span of time found; `begins` in seconds since the epoch, latency in
    seconds. Without a check `worst` is None. Shares are of time, not of checks: a service that
    fails is checked more often."""

    begins: float
    watched: float = 0.0
    good: float = 0.0
    worst: State | None = None
    latency: float | None = None

    @property
    def lost(self) -> float:
        """The share of the time in which the service did not serve."""
        return 1 - self.good / self.watched if self.watched else 0.0


class Ring:
    """Buckets of the last `size` spans of time, each `span` seconds long."""

    def __init__(self, span: int, size: int) -> None:
        self.span = span
        self._size = size
        self._last = 0
        self._watched = array("f", bytes(4 * size))
        self._good = array("f", bytes(4 * size))
        # 0 without a check, else the rank plus 1.
        self._worst = array("B", bytes(size))
        self._latency = array("f", bytes(4 * size))

    def add(
        self, at: float, *, seconds: float, good: bool, rank: int, latency: float | None
    ) -> None:
        """Add a check, which counts for so many seconds before it."""
        self._advance(at)
        place = self._last % self._size
        self._watched[place] += seconds
        self._worst[place] = max(self._worst[place], rank + 1)
        if good and seconds:
            self._good[place] += seconds
            if latency is not None:
                share = seconds / self._good[place]
                self._latency[place] += (latency - self._latency[place]) * share

    def _advance(self, at: float) -> None:
        """Advance to the span of this time, and empty those in between."""
        index = int(at) // self.span
        for passed in range(max(self._last + 1, index - self._size + 1), index + 1):
            place = passed % self._size
            self._watched[place] = self._good[place] = self._latency[place] = 0.0
            self._worst[place] = 0
        self._last = max(self._last, index)

    def buckets(self, now: float) -> Iterator[Bucket]:
        """All buckets up to now, the oldest first."""
        last = int(now) // self.span
        for index in range(last - self._size + 1, last + 1):
            place, begins = index % self._size, float(index * self.span)
            kept = self._last - self._size < index <= self._last
            if not kept or not self._worst[place]:
                yield Bucket(begins)
                continue
            yield Bucket(
                begins,
                self._watched[place],
                self._good[place],
                RANKS[self._worst[place] - 1],
                self._latency[place] if self._good[place] else None,
            )

    def uptime(self, now: float) -> float | None:
        """The share of the time in which the service served, from 0 to 1; None before any check."""
        self._advance(now)
        watched = sum(self._watched)
        return sum(self._good) / watched if watched else None

    def count_from(self, at: float, *, all_good: bool) -> None:
        """Count nothing before a time.

        :param all_good: whether nothing was lost in the bucket of that time either.
        """
        first = int(min(at, 1e15)) // self.span
        for index in range(self._last - self._size + 1, min(first, self._last) + 1):
            place = index % self._size
            if index < first:
                self._watched[place] = self._good[place] = self._latency[place] = 0.0
            elif all_good:
                self._watched[place] = self._good[place]

    def _arrays(self) -> tuple[array[int] | array[float], ...]:
        return (self._watched, self._good, self._worst, self._latency)

    def pack(self) -> tuple[int, str]:
        """The content as base64, which is smaller than a list of numbers in JSON."""
        raw = b"".join(part.tobytes() for part in self._arrays())
        return self._last, base64.b64encode(raw).decode()

    def unpack(self, last: int, packed: str) -> None:
        """Load packed content; content of another size is ignored."""
        raw = base64.b64decode(packed)
        if len(raw) != sum(len(part) * part.itemsize for part in self._arrays()):
            return
        self._last = last
        for part in self._arrays():
            size = len(part) * part.itemsize
            del part[:]
            part.frombytes(raw[:size])
            raw = raw[size:]
