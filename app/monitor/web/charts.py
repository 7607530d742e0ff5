"""Charts of the status page as SVG: bars of uptime, and a curve of response times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from app.monitor.store.ring import Bucket, Ring
from app.monitor.web.formats import Moment, milliseconds, moment, percent
from app.monitor.web.words import STATES, look

BAR_STEP = 10
CURVE_WIDTH = 300
CURVE_HEIGHT = 60

OUTAGE_SHARE = 0.05
"""Share of a bucket from which on a failure is drawn as an outage."""


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent bars of the same look: drawn as one dashed line. `last` is None for one bar."""

    x1: int
    x2: int
    look: str
    first: Moment
    last: Moment | None
    text: str

    @property
    def title(self) -> str:
        """All of it as text, in UTC."""
        last = f" to {self.last.text}" if self.last else ""
        return f"{self.first.text}{last}: {self.text}"


@dataclass(frozen=True, slots=True)
class Bars:
    """A row of bars, one for each bucket. Before the first check there is nothing to list."""

    width: int
    runs: tuple[Run, ...]
    uptime: str

    @property
    def listed(self) -> tuple[Run, ...]:
        """The runs as a list: the latest first, without the time before the first check."""
        before = len(list(takewhile(lambda run: run.look == "none", self.runs)))
        return tuple(reversed(self.runs[before:]))


@dataclass(frozen=True, slots=True)
class Curve:
    """Response times over 24 hours, in pieces between gaps, below an axis with three marks."""

    pieces: tuple[str, ...]
    marks: tuple[str, ...]
    median: str
    lowest: str
    highest: str


def bars(ring: Ring, now: float, form: str) -> Bars:
    """Draw a ring; equal neighbours share a run, so that a year without failures is one element.

    :param form: of the time of a bucket.
    """
    buckets = list(ring.buckets(now))
    runs, place = [], 0
    for (kind, text), group in groupby(buckets, key=lambda one: (_bar_look(one), _text(one))):
        members = list(group)
        x1, x2 = place * BAR_STEP, (place + len(members)) * BAR_STEP
        last = moment(members[-1].begins, form) if len(members) > 1 else None
        runs.append(Run(x1, x2, kind, moment(members[0].begins, form), last, text))
        place += len(members)
    return Bars(len(buckets) * BAR_STEP, tuple(runs), percent(ring.uptime(now)))


def _bar_look(bucket: Bucket) -> str:
    """A failure that took little of the time is drawn as a warning, not as an outage."""
    kind = look(bucket.worst)
    return "warn" if kind == "bad" and bucket.watched and bucket.lost < OUTAGE_SHARE else kind


def _text(bucket: Bucket) -> str:
    if bucket.worst is None:
        return "No data"
    worst = STATES[bucket.worst].lower()
    if not bucket.watched:
        return f"Not counted ({worst})"
    share = f"{percent(1 - bucket.lost)} uptime"
    return share if look(bucket.worst) == "good" else f"{share} ({worst})"


def curve(day: Ring, now: float) -> Curve | None:
    """Draw the response times of the last 24 hours."""
    buckets = list(day.buckets(now))
    known = sorted(bucket.latency for bucket in buckets if bucket.latency is not None)
    if not known:
        return None
    top = _round_up(known[-1])
    step = CURVE_WIDTH / max(1, len(buckets) - 1)
    points = [
        (index * step, None if bucket.latency is None else bucket.latency / top)
        for index, bucket in enumerate(buckets)
    ]
    pieces = tuple(
        _piece([(x, height) for x, height in group if height is not None])
        for present, group in groupby(points, key=lambda point: point[1] is not None)
        if present
    )
    marks = (milliseconds(top), milliseconds(top / 2), "0")
    lowest, median, highest = (known[index] for index in (0, len(known) // 2, -1))
    return Curve(pieces, marks, milliseconds(median), milliseconds(lowest), milliseconds(highest))


def _round_up(seconds: float) -> float:
    """The end of the axis: 2, 4 or 10 times a power of ten milliseconds, at least 2 ms."""
    power = 0.001
    while True:
        for factor in (2, 4, 10):
            if seconds <= factor * power:
                return factor * power
        power *= 10


def _piece(points: Sequence[tuple[float, float]]) -> str:
    drawn = [_point(x, height) for x, height in points]
    if len(drawn) == 1:
        x, height = points[0]
        drawn.append(_point(x + 2, height))
    return " ".join(drawn)


def _point(x: float, height: float) -> str:
    return f"{x:.1f},{CURVE_HEIGHT * (1 - height):.1f}"
