"""Services and incidents as JSON. Times are ISO 8601, durations and latencies are seconds."""

from __future__ import annotations

from datetime import UTC, datetime

from app.monitor.decisions.records import is_serving
from app.monitor.settings import Service
from app.monitor.store.history import History, Incident
from app.monitor.watch import Watch


def service_json(watch: Watch, history: History, service: Service, now: float) -> dict[str, object]:
    """A service."""
    record, past = watch.records[service.name], history.services[service.name]
    return {
        "name": service.name,
        "kind": service.kind.value,
        "models": [model.model_dump() for model in service.models],
        "state": record.state.value,
        "serving": is_serving(record),
        "reason": record.reason,
        "since": _iso(record.since),
        "checked_at": _iso(record.checked_at),
        "latency": record.latency,
        "depends_on": service.depends_on,
        "flapping": record.flapping,
        "paused": watch.is_paused(service),
        "maintenance_until": _iso(watch.maintenance_until(service)),
        "gave_up_at": _iso(record.gave_up_at),
        "held": record.held or None,
        "restarting": record.pending is not None,
        "restarts": {
            "total": record.restarts_total,
            "last_at": _iso(record.last_restart_at),
            "last_reason": record.last_restart_reason or None,
        },
        "uptime": {
            "24h": past.day.uptime(now),
            "90d": past.months.uptime(now),
            "counted_since": _iso(past.served_since),
        },
    }


def incident_json(incident: Incident) -> dict[str, object]:
    """An incident."""
    return {
        "service": incident.service,
        "began_at": _iso(incident.began_at),
        "ended_at": _iso(incident.ended_at),
        "code": incident.code,
        "reason": incident.reason,
        "restarts": incident.restarts,
        "notes": [
            {"at": _iso(note.at), "event": note.type.value, "reason": note.reason}
            for note in incident.notes
        ],
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
