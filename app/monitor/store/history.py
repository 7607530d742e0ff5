"""What was: uptime and latency of each service in rings of fixed size, and its incidents.

A service takes about two kilobytes for 24 hours in quarters of an hour and 90 days in days,
whatever it does, and at most `INCIDENTS_KEPT` incidents.
"""

from __future__ import annotations

import asyncio
import base64
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from app.monitor.decisions.decisions import Event, Happening, Memory, can_serve
from app.monitor.decisions.states import State
from app.monitor.settings import Service
from app.monitor.store.store import Content, Store
from app.shared.json_log import Log

log = Log("monitor")

QUARTER = 900
QUARTERS = 96
DAY = 86_400
DAYS = 90
INCIDENTS_KEPT = 20
NOTES_KEPT = 12
SAVE_INCIDENTS_EVERY = 20.0
SAVE_ROLLUPS_EVERY = 300.0

# A monitor that was away, or a check that was late, says nothing of more than this many intervals.
LONGEST_SPAN = 2
# What a service that has never served yet is allowed to be without being called down.
COMING_UP = (State.UNKNOWN, State.STARTING, State.LOADING)

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
    """What was seen in a span of time; `begins` in seconds since the epoch, latency in seconds.
    Without a check it was not watched, and `worst` is None. Time counts, not checks: a service
    that fails is asked more often."""

    begins: float
    watched: float = 0.0
    good: float = 0.0
    worst: State | None = None
    latency: float | None = None

    @property
    def lost(self) -> float:
        """The share of the time in which requests were not answered."""
        return 1 - self.good / self.watched if self.watched else 0.0


class Ring:
    """The last so many spans of time of one length."""

    def __init__(self, span: int, size: int) -> None:
        self._span = span
        self._size = size
        self._last = 0
        self._watched = array("f", bytes(4 * size))
        self._good = array("f", bytes(4 * size))
        # 0 where nothing was seen, else one more than the rank.
        self._worst = array("B", bytes(size))
        self._latency = array("f", bytes(4 * size))

    def add(
        self, at: float, *, seconds: float, good: bool, rank: int, latency: float | None
    ) -> None:
        """Take in a check, which speaks for the seconds before it; 0 for none of them."""
        self._turn(at)
        place = self._last % self._size
        self._watched[place] += seconds
        self._worst[place] = max(self._worst[place], rank + 1)
        if good and seconds:
            self._good[place] += seconds
            if latency is not None:
                share = seconds / self._good[place]
                self._latency[place] += (latency - self._latency[place]) * share

    def _turn(self, at: float) -> None:
        """Go on to the span of this time, and empty those in between."""
        index = int(at) // self._span
        for passed in range(max(self._last + 1, index - self._size + 1), index + 1):
            place = passed % self._size
            self._watched[place] = self._good[place] = self._latency[place] = 0.0
            self._worst[place] = 0
        self._last = max(self._last, index)

    def buckets(self, now: float) -> Iterator[Bucket]:
        """All spans up to now, the oldest first."""
        last = int(now) // self._span
        for index in range(last - self._size + 1, last + 1):
            place, begins = index % self._size, float(index * self._span)
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
        """The share of the time in which requests were answered, from 0 to 1; None before any."""
        self._turn(now)
        watched = sum(self._watched)
        return sum(self._good) / watched if watched else None

    def _arrays(self) -> tuple[array[int] | array[float], ...]:
        return (self._watched, self._good, self._worst, self._latency)

    def pack(self) -> tuple[int, str]:
        """The content as plain data."""
        raw = b"".join(part.tobytes() for part in self._arrays())
        return self._last, base64.b64encode(raw).decode()

    def unpack(self, last: int, packed: str) -> None:
        """Take up packed content; content of another shape is ignored."""
        raw = base64.b64decode(packed)
        if len(raw) != sum(len(part) * part.itemsize for part in self._arrays()):
            return
        self._last = last
        for part in self._arrays():
            size = len(part) * part.itemsize
            del part[:]
            part.frombytes(raw[:size])
            raw = raw[size:]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened in an incident."""

    at: float
    happening: Happening
    reason: str


@dataclass(slots=True)
class Incident:
    """A failure from its confirmation to its recovery. Times are seconds since the epoch."""

    service: str
    began_at: float
    code: str
    reason: str
    ended_at: float | None = None
    restarts: int = 0
    notes: list[Note] = field(default_factory=list)


NOTED = (
    Happening.RESTARTED,
    Happening.RESTARTED_ELSEWHERE,
    Happening.RESTART_HELD,
    Happening.RESTART_FAILED,
    Happening.GAVE_UP,
    Happening.RECOVERED,
    Happening.PAUSED,
    Happening.RESUMED,
)

Packed = dict[str, tuple[tuple[int, str], tuple[int, str]]]


@dataclass(slots=True)
class Record:
    """The history of one service."""

    day: Ring = field(default_factory=lambda: Ring(QUARTER, QUARTERS))
    months: Ring = field(default_factory=lambda: Ring(DAY, DAYS))
    incidents: list[Incident] = field(default_factory=list)
    counted_at: float | None = None
    """When a check was last taken in."""
    has_served: bool = False


class History:
    """The histories of all services, and their files.

    :param interval: seconds between two checks while nothing is wrong.
    """

    def __init__(
        self,
        names: Iterable[str],
        interval: float,
        state_dir: Path,
        clock: Callable[[], float],
    ) -> None:
        self.records = {name: Record() for name in names}
        self._longest = LONGEST_SPAN * interval
        self._clock = clock
        self._incidents = Store(
            state_dir / "incidents.json", TypeAdapter(dict[str, list[Incident]])
        )
        self._rollups = Store(state_dir / "history.json", TypeAdapter(Packed))
        self._incidents_changed = False
        self._recall()

    def _recall(self) -> None:
        for name, incidents in (self._incidents.load() or {}).items():
            if name in self.records:
                self.records[name].incidents = incidents[-INCIDENTS_KEPT:]
        for name, (day, months) in (self._rollups.load() or {}).items():
            if name in self.records:
                self.records[name].day.unpack(*day)
                self.records[name].months.unpack(*months)
                served = self.records[name].months.uptime(self._clock())
                self.records[name].has_served = bool(served)

    def count(self, service: Service, memory: Memory) -> None:
        """Take in a check."""
        record, good = self.records[service.name], can_serve(memory)
        at = memory.checked_at or self._clock()
        record.has_served |= good
        since = at - (record.counted_at or 0.0)
        seconds = min(max(since, 0.0), self._longest)
        if memory.state in COMING_UP and not record.has_served:
            seconds = 0.0
        record.counted_at = at
        for ring in (record.day, record.months):
            ring.add(
                at, seconds=seconds, good=good, rank=RANK[memory.state], latency=memory.latency
            )

    def hear(self, service: Service, event: Event) -> None:
        """Take in an event."""
        incidents = self.records[service.name].incidents
        current = incidents[-1] if incidents and incidents[-1].ended_at is None else None
        if event.happening is Happening.FAILED and current is None:
            incidents.append(Incident(service.name, event.at, event.code, event.reason))
            del incidents[:-INCIDENTS_KEPT]
        elif current is not None and event.happening in NOTED:
            current.notes.append(Note(event.at, event.happening, event.reason))
            del current.notes[:-NOTES_KEPT]
            current.restarts += event.happening is Happening.RESTARTED
            if event.happening is Happening.RECOVERED:
                current.ended_at = event.at
        else:
            return
        self._incidents_changed = True

    async def run(self) -> None:
        """Save now and then, and at the end."""
        passed = 0.0
        try:
            while True:
                await asyncio.sleep(SAVE_INCIDENTS_EVERY)
                passed += SAVE_INCIDENTS_EVERY
                if self._incidents_changed:
                    await self._save_incidents()
                if passed >= SAVE_ROLLUPS_EVERY:
                    passed = 0.0
                    await self._save_rollups()
        finally:
            await self._save_incidents()
            await self._save_rollups()

    async def _save_incidents(self) -> None:
        self._incidents_changed = False
        incidents = {
            name: list(record.incidents)
            for name, record in self.records.items()
            if record.incidents
        }
        await _quietly(self._incidents, incidents)

    async def _save_rollups(self) -> None:
        packed = {
            name: (record.day.pack(), record.months.pack()) for name, record in self.records.items()
        }
        await _quietly(self._rollups, packed)


async def _quietly(store: Store[Content], content: Content) -> None:
    try:
        await asyncio.to_thread(store.save, content)
    except OSError as error:
        log.error("history not saved", reason=str(error))
