"""State files of an earlier version: an upgrade keeps incidents, alerts and records."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from app.monitor.alerting.alert_sender import AlertState
from app.monitor.decisions.records import EventType, RestartOutcome, ServiceRecord
from app.monitor.store.history import Incident


def test_incidents_are_read() -> None:
    earlier = {
        "phi": [
            {
                "service": "phi",
                "began_at": 1.0,
                "code": "down",
                "reason": "no response",
                "notes": [{"at": 1.0, "happening": "failed", "reason": "no response"}],
            }
        ]
    }
    adapter = TypeAdapter(dict[str, list[Incident]])
    read = adapter.validate_json(json.dumps(earlier))
    assert read["phi"][0].notes[0].type is EventType.FAILED
    assert adapter.validate_json(adapter.dump_json(read)) == read


def test_alerts_are_read() -> None:
    alert = {"happening": "failed", "service": "phi", "reason": "no response", "at": 1.0}
    earlier = {
        "outbox": [{"webhook": "team", "alerts": [alert], "made_at": 1.0}],
        "open": {"phi": alert},
        "told_at": {"phi": 1.0},
    }
    adapter = TypeAdapter(AlertState)
    read = adapter.validate_json(json.dumps(earlier))
    assert read.open["phi"].type is EventType.FAILED
    assert read.outbox[0].alerts[0].type is EventType.FAILED
    assert read.alerted_at == {"phi": 1.0}
    assert adapter.validate_json(adapter.dump_json(read)) == read


def test_records_are_read() -> None:
    pending = {
        "asked_at": 1.0,
        "failing_since": 1.0,
        "known_start": 0.0,
        "second_opinion": False,
        "code": "down",
        "reason": "no response",
    }
    earlier = {"phi": {"state": "down", "patient_since": 2.0, "told": ["wait"], "pending": pending}}
    adapter = TypeAdapter(dict[str, ServiceRecord])
    read = adapter.validate_json(json.dumps(earlier))["phi"]
    assert read.loading_since == 2.0
    assert read.reported == (RestartOutcome.WAIT,)
    assert read.pending is not None
