"""Incidents and restarts as rows of the status page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.monitor.alerting.messages import duration
from app.monitor.decisions.records import EventType
from app.monitor.store.history import Incident
from app.monitor.web.formats import Moment, moment
from app.monitor.web.words import EVENTS

RESTARTS = (
    EventType.RESTARTED,
    EventType.RESTARTED_ELSEWHERE,
    EventType.RESTART_HELD,
    EventType.RESTART_FAILED,
)
RESTARTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A line of an incident."""

    at: Moment
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident on the page."""

    service: str
    began: Moment
    lasted: str
    over: bool
    reason: str
    restarts: int
    notes: tuple[NoteRow, ...]


def incident_row(incident: Incident, now: float) -> IncidentRow:
    """An incident as it is shown."""
    ended = now if incident.ended_at is None else incident.ended_at
    return IncidentRow(
        service=incident.service,
        began=moment(incident.began_at),
        lasted=duration(ended - incident.began_at),
        over=incident.ended_at is not None,
        reason=incident.reason,
        restarts=incident.restarts,
        notes=tuple(
            NoteRow(moment(note.at, "time"), EVENTS.get(note.type, ""), note.reason)
            for note in incident.notes
        ),
    )


def restart_rows(incidents: Iterable[Incident]) -> list[NoteRow]:
    """The restarts during incidents, done or not, the latest first."""
    notes = [note for incident in incidents for note in incident.notes if note.type in RESTARTS]
    notes.sort(key=lambda note: note.at, reverse=True)
    return [
        NoteRow(moment(note.at), EVENTS[note.type], note.reason) for note in notes[:RESTARTS_SHOWN]
    ]
