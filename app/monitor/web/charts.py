"""Charts of the status page as SVG: bars of uptime, and a curve of latencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from app.monitor.decisions.states import FAILED, State
from app.monitor.store.ring import Bucket, Ring
from app.monitor.web.formats import milliseconds, percent, time_as

BAR_STEP = 10
SPARK_WIDTH = 300
SPARK_HEIGHT = 40
SPARK_MARGIN = 3

OUTAGE_SHARE = 0.05
"""Share of a bucket from which on a failure is drawn as an outage."""


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent bars of the same look: drawn as one dashed line."""

    x1: int
    x2: int
    look: str
    title: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A row of bars, one for each bucket."""

    width: int
    runs: tuple[Run, ...]
    uptime: str


@dataclass(frozen=True, slots=True)
class Spark:
    """A curve of latencies over 24 hours, in pieces between gaps."""

    pieces: tuple[str, ...]
    typical: str
    highest: str


def look(state: State | None) -> str:
    """The CSS class in which a state is drawn."""
    if state is None or state is State.UNKNOWN:
        return "none"
    if state in FAILED:
        return "bad"
    if state is State.DEGRADED:
        return "warn"
    return "good" if state in (State.OK, State.BUSY) else "wait"


def bars(ring: Ring, now: float, form: str) -> Bars:
    """Draw a ring; equal neighbours share a run, so that a year without failures is one element.

    :param form: of the time of a bucket, for strftime.
    """
    buckets = list(ring.buckets(now))
    runs, place = [], 0
    for (kind, _), group in groupby(buckets, key=lambda one: (_bar_look(one), one.lost)):
        members = list(group)
        x1, x2 = place * BAR_STEP, (place + len(members)) * BAR_STEP
        runs.append(Run(x1, x2, kind, _title(members, form)))
        place += len(members)
    return Bars(len(buckets) * BAR_STEP, tuple(runs), percent(ring.uptime(now)))


def _bar_look(bucket: Bucket) -> str:
    """A failure that took little of the time is drawn as a warning, not as an outage."""
    kind = look(bucket.worst)
    return "warn" if kind == "bad" and bucket.lost < OUTAGE_SHARE else kind


def _title(buckets: Sequence[Bucket], form: str) -> str:
    first, last = (time_as(buckets[index].begins, form) for index in (0, -1))
    span = first if first == last else f"{first} to {last}"
    worst = buckets[0].worst
    if worst is None:
        return f"{span}: not checked"
    return f"{span}: {percent(1 - buckets[0].lost)}, worst {worst.value}"


def spark(day: Ring, now: float) -> Spark | None:
    """Draw the latencies of the last 24 hours."""
    buckets = list(day.buckets(now))
    known = [bucket.latency for bucket in buckets if bucket.latency is not None]
    if not known:
        return None
    top = max(known) or 1.0
    step = SPARK_WIDTH / max(1, len(buckets) - 1)
    points = [
        (index * step, None if bucket.latency is None else bucket.latency / top)
        for index, bucket in enumerate(buckets)
    ]
    pieces = tuple(
        _piece([(x, height) for x, height in group if height is not None])
        for present, group in groupby(points, key=lambda point: point[1] is not None)
        if present
    )
    typical = sorted(known)[len(known) // 2]
    return Spark(pieces, milliseconds(typical), milliseconds(max(known)))


def _piece(points: Sequence[tuple[float, float]]) -> str:
    drawn = [_point(x, height) for x, height in points]
    if len(drawn) == 1:
        x, height = points[0]
        drawn.append(_point(x + 2, height))
    return " ".join(drawn)


def _point(x: float, height: float) -> str:
    y = SPARK_HEIGHT - SPARK_MARGIN - height * (SPARK_HEIGHT - 2 * SPARK_MARGIN)
    return f"{x:.1f},{y:.1f}"
