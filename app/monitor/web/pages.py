"""The status page, the page of one service, and badges: HTML and SVG that need no script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.monitor.alerting.messages import duration
from app.monitor.settings import Kind, Service
from app.monitor.store.history import History
from app.monitor.watch import Watch
from app.monitor.web.charts import Bars, Curve, bars, curve
from app.monitor.web.chat_link import chat_url, model_url
from app.monitor.web.formats import Moment, milliseconds, moment
from app.monitor.web.incidents import IncidentRow, incident_row, restart_rows
from app.monitor.web.words import (
    KINDS,
    LEGEND,
    LOOKS,
    STATES,
    check_method,
    condition,
    look,
    summary,
)

FOLDER = Path(__file__).parent
RECENT_INCIDENTS = 20

FULL_CARDS = 40
"""Services drawn with their charts on the status page; the others are lines."""

SPANS_LISTED = 8
"""Periods in the list below a chart of the status page; the page of a service has all."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model of a service. `placeholder` answers in place of it."""

    name: str
    placeholder: str | None
    chat: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A service in one line."""

    name: str
    state: str
    look: str
    condition: str


@dataclass(frozen=True, slots=True)
class Card:
    """A service with its charts."""

    line: Line
    kind: str
    address: str | None
    models: tuple[ModelRow, ...]
    held: str
    restarting: bool
    gave_up: bool
    flapping: bool
    paused_until: Moment | None
    maintenance_until: Moment | None
    latency: str
    restarts: int
    last_restart: Moment | None
    last_restart_reason: str
    depends_on: tuple[str, ...]
    day: Bars
    months: Bars
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the page of a service shows."""

    since: Moment
    counted_since: Moment | None
    method: str
    checked: Moment | None
    interval: int
    checks: int
    failures: int
    fail_after: int
    recover_after: int
    restart_limit: int | None
    restart_window: str


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
        environment.globals |= {"legend": LEGEND, "spans_listed": SPANS_LISTED}
        self._index = environment.get_template("index.html")
        self._service = environment.get_template("service.html")
        self._missing = environment.get_template("missing.html")
        self._badge = environment.get_template("badge.svg")

    def index(self, now: float, host: str) -> str:
        """All services, unhealthy ones first, and the recent incidents.

        :param host: header Host of the request, which decides where links to the chat lead.
        """
        services = self._watch.services
        maintained = {
            name: True for name, one in services.items() if self._watch.maintenance_until(one)
        }
        looks = {
            name: "wait" if name in maintained else look(self._watch.records[name].state)
            for name in services
        }
        names = sorted(looks, key=lambda name: LOOKS.index(looks[name]))
        chat = chat_url(self._watch.settings.chat, host)
        text, kind = summary(looks, list(maintained))
        return self._index.render(
            stack=self._watch.settings.stack,
            summary=text,
            summary_look=kind,
            restarter_works=self._watch.restarter_works,
            chat=chat,
            demos=[
                one for service in services.values() for one in service.models if one.placeholder
            ],
            cards=[self._card(name, now, chat) for name in names[:FULL_CARDS]],
            rest=[self._line(name, now) for name in names[FULL_CARDS:]],
            incidents=self._recent_incidents(now),
            made_at=moment(now),
        )

    def service(self, name: str, now: float, host: str) -> str:
        """One service with its checks, restarts, and all its incidents."""
        service, incidents = self._watch.services[name], self._history.services[name].incidents
        chat = chat_url(self._watch.settings.chat, host)
        return self._service.render(
            stack=self._watch.settings.stack,
            chat=chat,
            card=self._card(name, now, chat),
            facts=self._facts(service),
            restarts=restart_rows(incidents),
            incidents=[incident_row(incident, now) for incident in reversed(incidents)],
            made_at=moment(now),
        )

    def missing(self) -> str:
        """In place of the page of a service that is not watched."""
        return self._missing.render(stack=self._watch.settings.stack)

    def badge(self, name: str) -> str:
        """A small SVG with name and state, for other pages."""
        state = self._watch.records[name].state
        return self._badge.render(name=name, state=state.value, look=look(state))

    def _recent_incidents(self, now: float) -> list[IncidentRow]:
        found = [i for past in self._history.services.values() for i in past.incidents]
        found.sort(key=lambda incident: (incident.ended_at is None, incident.began_at))
        return [incident_row(incident, now) for incident in reversed(found[-RECENT_INCIDENTS:])]

    def _line(self, name: str, now: float) -> Line:
        service, record = self._watch.services[name], self._watch.records[name]
        maintained = self._watch.maintenance_until(service) is not None
        return Line(
            name=name,
            state="Maintenance" if maintained else STATES[record.state],
            look="wait" if maintained else look(record.state),
            condition=condition(record, now),
        )

    def _card(self, name: str, now: float, chat: str | None) -> Card:
        service, record = self._watch.services[name], self._watch.records[name]
        past = self._history.services[name]
        paused = record.paused_until if now < record.paused_until else None
        maintenance = self._watch.maintenance_until(service)
        restarted = record.last_restart_at
        return Card(
            kind=KINDS[service.kind],
            address=_public_host(service),
            models=tuple(
                ModelRow(model.name, model.placeholder, chat and model_url(chat, model.name))
                for model in service.models
            ),
            line=self._line(name, now),
            held=record.held,
            restarting=record.pending is not None,
            gave_up=record.gave_up_at is not None,
            flapping=record.flapping,
            paused_until=None if paused is None else moment(paused, "minute"),
            maintenance_until=None if maintenance is None else moment(maintenance, "minute"),
            latency=milliseconds(record.latency),
            restarts=record.restarts_total,
            last_restart=None if restarted is None else moment(restarted, "minute"),
            last_restart_reason=record.last_restart_reason,
            depends_on=service.depends_on,
            day=bars(past.day, now, "minute"),
            months=bars(past.months, now, "day"),
            curve=curve(past.day, now),
        )

    def _facts(self, service: Service) -> Facts:
        settings, record = self._watch.settings, self._watch.records[service.name]
        counts = self._watch.counts[service.name]
        served_since = self._history.services[service.name].served_since
        restarts = settings.restarts
        return Facts(
            since=moment(record.since),
            counted_since=None if served_since is None else moment(served_since),
            method=check_method(service),
            checked=None if record.checked_at is None else moment(record.checked_at),
            interval=settings.interval,
            checks=counts.checks,
            failures=counts.failures,
            fail_after=settings.thresholds.fail_after,
            recover_after=settings.thresholds.recover_after,
            restart_limit=restarts.limit if restarts.enabled and service.restart else None,
            restart_window=duration(restarts.window),
        )


def _public_host(service: Service) -> str | None:
    """The name of a public address; that of a quick tunnel changes."""
    quick = service.public is not None and service.public.quick
    return service.url.host if service.kind is Kind.PUBLIC and not quick else None
