"""The status page: what is shown, and how it is drawn. Pure; no scripts, all charts are SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.monitor.alerting.messages import duration
from app.monitor.decisions.decisions import Happening, can_serve
from app.monitor.decisions.states import FAILED, State
from app.monitor.decisions.watch import Watch
from app.monitor.settings import Service
from app.monitor.store.history import Bucket, History, Incident, Record, Ring

FOLDER = Path(__file__).parent
BAR_STEP = 10
BAR_WIDTH = 7
BAR_HEIGHT = 32
SPARK_WIDTH = 300
SPARK_HEIGHT = 40
RECENT_INCIDENTS = 20
OUTAGE_SHARE = 0.05

FULL_CARDS = 40
"""Services drawn with their charts on the first page; the others there are lines."""

NOTE_WORDS = {
    Happening.RESTARTED: "restarted",
    Happening.RESTARTED_ELSEWHERE: "restarted by another hand",
    Happening.RESTART_HELD: "not restarted",
    Happening.RESTART_FAILED: "restart failed",
    Happening.GAVE_UP: "gave up",
    Happening.RECOVERED: "recovered",
    Happening.PAUSED: "paused",
    Happening.RESUMED: "resumed",
}


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring bars of one look: drawn as one dashed line."""

    x1: int
    x2: int
    look: str
    title: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A row of bars, one for each span of time."""

    width: int
    runs: tuple[Run, ...]
    uptime: str


@dataclass(frozen=True, slots=True)
class Spark:
    """A curve of latencies over 24 hours, in pieces where there were gaps."""

    pieces: tuple[str, ...]
    typical: str
    highest: str


@dataclass(frozen=True, slots=True)
class Card:
    """A service on the page."""

    name: str
    kind: str
    state: State
    look: str
    reason: str
    lasting: str
    held: str
    gave_up: bool
    flapping: bool
    paused: bool
    latency: str
    restarts: int
    last_restart: str
    depends_on: tuple[str, ...]
    day: Bars
    months: Bars
    spark: Spark | None


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A line of an incident."""

    at: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident on the page."""

    service: str
    began: str
    lasted: str
    over: bool
    reason: str
    restarts: int
    notes: tuple[NoteRow, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The first thing a person wants to know."""

    text: str
    look: str


class Pages:
    """Renders the pages of one watch."""

    def __init__(self, watch: Watch, history: History) -> None:
        self._watch = watch
        self._history = history
        environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._index = environment.get_template("index.html")
        self._service = environment.get_template("service.html")
        self._badge = environment.get_template("badge.svg")

    def index(self, now: float) -> str:
        """All services, those in trouble first, and the recent incidents."""
        memories = self._watch.memories
        looks = {name: look(memories[name].state) for name in self._watch.services}
        names = sorted(looks, key=lambda name: TROUBLE.index(looks[name]))
        rest = names[FULL_CARDS:]
        return self._index.render(
            stack=self._watch.settings.stack,
            summary=summarise(looks),
            restarter_works=self._watch.restarter_works,
            cards=[self._card(name, now) for name in names[:FULL_CARDS]],
            rest=[(name, looks[name], memories[name]) for name in rest],
            incidents=self._recent(now),
            made_at=moment(now),
        )

    def service(self, name: str, now: float) -> str:
        """One service with all its incidents."""
        incidents = reversed(self._history.records[name].incidents)
        return self._service.render(
            stack=self._watch.settings.stack,
            card=self._card(name, now),
            incidents=[incident_row(incident, now) for incident in incidents],
            made_at=moment(now),
        )

    def badge(self, name: str) -> str:
        """A small SVG with name and state, to be put on other pages."""
        memory = self._watch.memories[name]
        return self._badge.render(name=name, state=memory.state.value, look=look(memory.state))

    def _recent(self, now: float) -> list[IncidentRow]:
        found = [i for record in self._history.records.values() for i in record.incidents]
        found.sort(key=lambda incident: (incident.ended_at is None, incident.began_at))
        return [incident_row(incident, now) for incident in reversed(found[-RECENT_INCIDENTS:])]

    def _card(self, name: str, now: float) -> Card:
        service, memory = self._watch.services[name], self._watch.memories[name]
        record = self._history.records[name]
        return Card(
            name=name,
            kind=service.kind.value,
            state=memory.state,
            look=look(memory.state),
            reason=memory.reason,
            lasting=duration(now - memory.since),
            held=memory.held,
            gave_up=memory.gave_up_at is not None,
            flapping=memory.flapping,
            paused=self._watch.is_paused(service),
            latency=milliseconds(memory.latency),
            restarts=memory.restarts_total,
            last_restart=_last_restart(memory.last_restart_at, memory.last_restart_reason, now),
            depends_on=service.depends_on,
            day=bars(record.day, now, "%H:%M"),
            months=bars(record.months, now, "%d %b"),
            spark=spark(record, now),
        )


TROUBLE = ("bad", "warn", "wait", "none", "good")
"""Looks from worst to best."""


def look(state: State | None) -> str:
    """The class in which a state is drawn."""
    if state is None or state is State.UNKNOWN:
        return "none"
    if state in FAILED:
        return "bad"
    if state is State.DEGRADED:
        return "warn"
    return "good" if state in (State.OK, State.BUSY) else "wait"


def summarise(looks: Mapping[str, str]) -> Summary:
    """One sentence about all services, by their looks."""
    bad = [name for name, kind in looks.items() if kind == "bad"]
    warn = [name for name, kind in looks.items() if kind == "warn"]
    wait = [name for name, kind in looks.items() if kind in ("wait", "none")]
    if bad:
        return Summary(_said(bad, "is not working", "are not working"), "bad")
    if warn:
        return Summary(_said(warn, "is degraded", "are degraded"), "warn")
    if wait:
        return Summary(_said(wait, "is not ready yet", "are not ready yet"), "wait")
    return Summary("All services are working", "good")


def _said(names: Sequence[str], one: str, several: str) -> str:
    return f"{names[0]} {one}" if len(names) == 1 else f"{len(names)} services {several}"


def bars(ring: Ring, now: float, form: str) -> Bars:
    """Draw a ring; equal neighbours share a run, so that a quiet year is one element."""
    buckets = list(ring.buckets(now))
    runs, place = [], 0
    for (kind, _), group in groupby(buckets, key=lambda one: (_bar_look(one), one.lost)):
        members = list(group)
        x1, x2 = place * BAR_STEP, (place + len(members)) * BAR_STEP
        runs.append(Run(x1, x2, kind, _title(members, form)))
        place += len(members)
    return Bars(len(buckets) * BAR_STEP, tuple(runs), percent(ring.uptime(now)))


def _bar_look(bucket: Bucket) -> str:
    """A failure that took little of the time is drawn as a trouble, not as an outage."""
    kind = look(bucket.worst)
    return "warn" if kind == "bad" and bucket.lost < OUTAGE_SHARE else kind


def _title(buckets: Sequence[Bucket], form: str) -> str:
    first, last = (_format(buckets[index].begins, form) for index in (0, -1))
    span = first if first == last else f"{first} to {last}"
    worst = buckets[0].worst
    if worst is None:
        return f"{span}: not watched"
    return f"{span}: {percent(1 - buckets[0].lost)}, worst {worst.value}"


def spark(record: Record, now: float) -> Spark | None:
    """The latencies of the last 24 hours."""
    buckets = list(record.day.buckets(now))
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
    room = SPARK_HEIGHT - 6
    drawn = [f"{x:.1f},{SPARK_HEIGHT - 3 - height * room:.1f}" for x, height in points]
    if len(drawn) == 1:
        x, height = points[0]
        drawn.append(f"{x + 2:.1f},{SPARK_HEIGHT - 3 - height * room:.1f}")
    return " ".join(drawn)


def incident_row(incident: Incident, now: float) -> IncidentRow:
    """An incident for people."""
    ended = now if incident.ended_at is None else incident.ended_at
    return IncidentRow(
        service=incident.service,
        began=moment(incident.began_at),
        lasted=duration(ended - incident.began_at),
        over=incident.ended_at is not None,
        reason=incident.reason,
        restarts=incident.restarts,
        notes=tuple(
            NoteRow(_format(n.at, "%H:%M:%S"), NOTE_WORDS.get(n.happening, ""), n.reason)
            for n in incident.notes
        ),
    )


def _last_restart(at: float | None, reason: str, now: float) -> str:
    return f"{duration(now - at)} ago: {reason}" if at is not None else ""


def percent(share: float | None) -> str:
    """A share for people; only what is complete is called 100 %."""
    if share is None:
        return "no data"
    if share == 1:
        return "100 %"
    return f"{min(share * 100, 99.99):.2f} %"


def milliseconds(seconds: float | None) -> str:
    """A latency for people."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def moment(at: float) -> str:
    """A point in time for people."""
    return _format(at, "%d %b %Y %H:%M:%S UTC")


def _format(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


def as_json(watch: Watch, history: History, service: Service, now: float) -> dict[str, object]:
    """A service for the JSON API. Times are ISO 8601, spans and latency seconds."""
    memory, record = watch.memories[service.name], history.records[service.name]
    return {
        "name": service.name,
        "kind": service.kind.value,
        "state": memory.state.value,
        "serving": can_serve(memory),
        "reason": memory.reason,
        "since": _iso(memory.since),
        "checked_at": _iso(memory.checked_at),
        "latency": memory.latency,
        "depends_on": service.depends_on,
        "flapping": memory.flapping,
        "paused": watch.is_paused(service),
        "gave_up_at": _iso(memory.gave_up_at),
        "held": memory.held or None,
        "restarts": {
            "total": memory.restarts_total,
            "last_at": _iso(memory.last_restart_at),
            "last_reason": memory.last_restart_reason or None,
        },
        "uptime": {
            "24h": record.day.uptime(now),
            "90d": record.months.uptime(now),
        },
    }


def incident_json(incident: Incident) -> dict[str, object]:
    """An incident for the JSON API."""
    return {
        "service": incident.service,
        "began_at": _iso(incident.began_at),
        "ended_at": _iso(incident.ended_at),
        "code": incident.code,
        "reason": incident.reason,
        "restarts": incident.restarts,
        "notes": [
            {"at": _iso(note.at), "event": note.happening.value, "reason": note.reason}
            for note in incident.notes
        ],
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
