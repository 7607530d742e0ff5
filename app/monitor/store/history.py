"""History of the services: uptime and latency in rings of fixed size, and incidents.

A service takes about two kilobytes for 24 hours in quarters of an hour and 90 days in days,
however often it is checked, and at most `INCIDENTS_KEPT` incidents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import TypeAdapter

from app.monitor.decisions.records import (
    DEPENDENCY,
    Event,
    EventType,
    ServiceRecord,
    is_serving,
)
from app.monitor.decisions.states import State
from app.monitor.renamed_fields import formerly
from app.monitor.settings import Service
from app.monitor.store.ring import DAY, DAYS, QUARTER, QUARTERS, RANK, Ring
from app.monitor.store.state_file import Content, StateFile
from app.shared.json_log import Log

log = Log("monitor")

INCIDENTS_KEPT = 20
NOTES_KEPT = 12
SAVE_INCIDENTS_EVERY = 20.0
SAVE_RINGS_EVERY = 300.0

# A check counts for the time since the one before, but for no more than this many intervals.
LONGEST_SPAN = 2


@dataclass(frozen=True, slots=True)
class Note:
    """An event during an incident."""

    at: float
    type: Annotated[EventType, formerly("type", "happening")]
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
    EventType.RESTARTED,
    EventType.RESTARTED_ELSEWHERE,
    EventType.RESTART_HELD,
    EventType.RESTART_FAILED,
    EventType.GAVE_UP,
    EventType.RECOVERED,
    EventType.PAUSED,
    EventType.RESUMED,
)

Packed = dict[str, tuple[tuple[int, str], tuple[int, str]]]


@dataclass(slots=True)
class ServiceHistory:
    """The history of one service."""

    day: Ring = field(default_factory=lambda: Ring(QUARTER, QUARTERS))
    months: Ring = field(default_factory=lambda: Ring(DAY, DAYS))
    incidents: list[Incident] = field(default_factory=list)
    counted_at: float | None = None
    """When a check was last added."""
    served_since: float | None = None
    """When it served for the first time: nothing before it counts."""


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
        self.services = {name: ServiceHistory() for name in names}
        self._longest = LONGEST_SPAN * interval
        self._clock = clock
        self._incidents = StateFile(
            state_dir / "incidents.json", TypeAdapter(dict[str, list[Incident]])
        )
        self._rings = StateFile(state_dir / "history.json", TypeAdapter(Packed))
        # A file of its own: a version without it reads the others as before.
        self._served = StateFile(state_dir / "served.json", TypeAdapter(dict[str, float]))
        self._incidents_changed = False
        self._load()

    def _load(self) -> None:
        for name, incidents in (self._incidents.load() or {}).items():
            if name in self.services:
                self.services[name].incidents = incidents[-INCIDENTS_KEPT:]
        for name, (day, months) in (self._rings.load() or {}).items():
            if name in self.services:
                self.services[name].day.unpack(*day)
                self.services[name].months.unpack(*months)
        served = self._served.load() or {}
        for name, past in self.services.items():
            past.served_since = served.get(name)
            if past.served_since is None:
                _adopt(past, self._clock())

    def keep(self, names: Iterable[str]) -> None:
        """Have a history of these services, and of no others."""
        self.services = {name: self.services.get(name) or ServiceHistory() for name in names}
        self._incidents_changed = True

    def on_check(self, service: Service, record: ServiceRecord, *, counted: bool = True) -> None:
        """Add a check to the rings.

        :param counted: False in a pause and in maintenance.
        """
        past, good = self.services[service.name], is_serving(record)
        at = record.checked_at or self._clock()
        since = at - (past.counted_at or 0.0)
        past.counted_at = at
        if not counted:
            return
        if good and past.served_since is None:
            past.served_since = at
        waits = record.code == DEPENDENCY
        seconds = min(max(since, 0.0), self._longest)
        if waits or past.served_since is None:
            seconds = 0.0
        rank = RANK[State.LOADING if waits else record.state]
        for ring in (past.day, past.months):
            ring.add(at, seconds=seconds, good=good, rank=rank, latency=record.latency)

    def on_event(self, service: Service, event: Event) -> None:
        """Open, extend or close an incident."""
        incidents = self.services[service.name].incidents
        current = incidents[-1] if incidents and incidents[-1].ended_at is None else None
        if event.type is EventType.FAILED and current is None:
            incidents.append(Incident(service.name, event.at, event.code, event.reason))
            del incidents[:-INCIDENTS_KEPT]
        elif current is not None and event.type in NOTED:
            current.notes.append(Note(event.at, event.type, event.reason))
            del current.notes[:-NOTES_KEPT]
            current.restarts += event.type is EventType.RESTARTED
            if event.type is EventType.RECOVERED:
                current.ended_at = event.at
        else:
            return
        self._incidents_changed = True

    async def run(self) -> None:
        """Save regularly, and at the end."""
        passed = 0.0
        try:
            while True:
                await asyncio.sleep(SAVE_INCIDENTS_EVERY)
                passed += SAVE_INCIDENTS_EVERY
                if self._incidents_changed:
                    await self._save_incidents()
                if passed >= SAVE_RINGS_EVERY:
                    passed = 0.0
                    await self._save_rings()
        finally:
            await self._save_incidents()
            await self._save_rings()

    async def _save_incidents(self) -> None:
        self._incidents_changed = False
        incidents = {
            name: list(past.incidents) for name, past in self.services.items() if past.incidents
        }
        await _save(self._incidents, incidents)

    async def _save_rings(self) -> None:
        packed = {
            name: (past.day.pack(), past.months.pack()) for name, past in self.services.items()
        }
        await _save(self._rings, packed)
        served = {
            name: past.served_since
            for name, past in self.services.items()
            if past.served_since is not None
        }
        await _save(self._served, served)


def _adopt(past: ServiceHistory, now: float) -> None:
    """Correct the rings of a version that counted the time before the first success as downtime.

    A failure has an incident; a wait for a model, and a first start, have none.
    """
    served_on = _first_success(past.months, now)
    if served_on is None:
        for ring in (past.day, past.months):
            ring.count_from(now + DAY, all_good=False)
        return
    today = _first_success(past.day, now)
    at = today if today is not None and served_on <= today < served_on + DAY else served_on
    for ring in (past.day, past.months):
        begins = at - at % ring.span
        failed = any(
            one.began_at < begins + ring.span and (one.ended_at or now) > begins
            for one in past.incidents
        )
        ring.count_from(at, all_good=not failed)
    past.served_since = at


def _first_success(ring: Ring, now: float) -> float | None:
    return next((bucket.begins for bucket in ring.buckets(now) if bucket.good), None)


async def _save(file: StateFile[Content], content: Content) -> None:
    try:
        await asyncio.to_thread(file.save, content)
    except OSError as error:
        log.error("history not saved", reason=str(error))
