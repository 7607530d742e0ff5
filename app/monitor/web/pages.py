"""The status page, the page of one service, and badges: HTML and SVG without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.monitor.alerting.messages import duration
from app.monitor.decisions.records import EventType
from app.monitor.decisions.states import State
from app.monitor.store.history import History, Incident
from app.monitor.watch import Watch
from app.monitor.web.charts import Bars, Spark, bars, look, spark
from app.monitor.web.formats import date_and_time, milliseconds, time_as

FOLDER = Path(__file__).parent
RECENT_INCIDENTS = 20

FULL_CARDS = 40
"""Services drawn with their charts on the status page; the others are lines."""

LOOKS = ("bad", "warn", "wait", "none", "good")
"""From worst to best."""

NOTE_WORDS = {
    EventType.RESTARTED: "restarted",
    EventType.RESTARTED_ELSEWHERE: "restarted by Docker or a person",
    EventType.RESTART_HELD: "not restarted",
    EventType.RESTART_FAILED: "restart failed",
    EventType.GAVE_UP: "gave up",
    EventType.RECOVERED: "recovered",
    EventType.PAUSED: "paused",
    EventType.RESUMED: "resumed",
}


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
    """One sentence about all services."""

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
        """All services, unhealthy ones first, and the recent incidents."""
        records = self._watch.records
        looks = {name: look(records[name].state) for name in self._watch.services}
        names = sorted(looks, key=lambda name: LOOKS.index(looks[name]))
        rest = names[FULL_CARDS:]
        return self._index.render(
            stack=self._watch.settings.stack,
            summary=summarise(looks),
            restarter_works=self._watch.restarter_works,
            cards=[self._card(name, now) for name in names[:FULL_CARDS]],
            rest=[(name, looks[name], records[name]) for name in rest],
            incidents=self._recent_incidents(now),
            made_at=date_and_time(now),
        )

    def service(self, name: str, now: float) -> str:
        """One service with all its incidents."""
        incidents = reversed(self._history.services[name].incidents)
        return self._service.render(
            stack=self._watch.settings.stack,
            card=self._card(name, now),
            incidents=[incident_row(incident, now) for incident in incidents],
            made_at=date_and_time(now),
        )

    def badge(self, name: str) -> str:
        """A small SVG with name and state, for other pages."""
        state = self._watch.records[name].state
        return self._badge.render(name=name, state=state.value, look=look(state))

    def _recent_incidents(self, now: float) -> list[IncidentRow]:
        found = [i for past in self._history.services.values() for i in past.incidents]
        found.sort(key=lambda incident: (incident.ended_at is None, incident.began_at))
        return [incident_row(incident, now) for incident in reversed(found[-RECENT_INCIDENTS:])]

    def _card(self, name: str, now: float) -> Card:
        service, record = self._watch.services[name], self._watch.records[name]
        past = self._history.services[name]
        return Card(
            name=name,
            kind=service.kind.value,
            state=record.state,
            look=look(record.state),
            reason=record.reason,
            lasting=duration(now - record.since),
            held=record.held,
            gave_up=record.gave_up_at is not None,
            flapping=record.flapping,
            paused=self._watch.is_paused(service),
            latency=milliseconds(record.latency),
            restarts=record.restarts_total,
            last_restart=_last_restart(record.last_restart_at, record.last_restart_reason, now),
            depends_on=service.depends_on,
            day=bars(past.day, now, "%H:%M"),
            months=bars(past.months, now, "%d %b"),
            spark=spark(past.day, now),
        )


def summarise(looks: Mapping[str, str]) -> Summary:
    """One sentence about all services, by their looks."""
    bad = [name for name, kind in looks.items() if kind == "bad"]
    warn = [name for name, kind in looks.items() if kind == "warn"]
    wait = [name for name, kind in looks.items() if kind in ("wait", "none")]
    if bad:
        return Summary(_sentence(bad, "is not working", "are not working"), "bad")
    if warn:
        return Summary(_sentence(warn, "is degraded", "are degraded"), "warn")
    if wait:
        return Summary(_sentence(wait, "is not ready yet", "are not ready yet"), "wait")
    return Summary("All services are working", "good")


def _sentence(names: Sequence[str], one: str, several: str) -> str:
    return f"{names[0]} {one}" if len(names) == 1 else f"{len(names)} services {several}"


def incident_row(incident: Incident, now: float) -> IncidentRow:
    """An incident as it is shown."""
    ended = now if incident.ended_at is None else incident.ended_at
    return IncidentRow(
        service=incident.service,
        began=date_and_time(incident.began_at),
        lasted=duration(ended - incident.began_at),
        over=incident.ended_at is not None,
        reason=incident.reason,
        restarts=incident.restarts,
        notes=tuple(
            NoteRow(time_as(n.at, "%H:%M:%S"), NOTE_WORDS.get(n.type, ""), n.reason)
            for n in incident.notes
        ),
    )


def _last_restart(at: float | None, reason: str, now: float) -> str:
    return f"{duration(now - at)} ago: {reason}" if at is not None else ""
