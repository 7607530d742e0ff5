"""History: its content, its bounds, and restarts of the monitor."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.monitor.decisions.records import Event, EventType, ServiceRecord
from app.monitor.decisions.states import State
from app.monitor.settings import Service
from app.monitor.store.history import INCIDENTS_KEPT, NOTES_KEPT, History

PHI = Service.model_validate({"name": "phi", "url": "http://phi"})
NOW = 1_700_000_000.0


def history(folder: Path) -> History:
    return History(["phi"], 30.0, folder, lambda: NOW)


def event(event_type: EventType, at: float = NOW) -> Event:
    return Event(event_type, "phi", at, "why", code="refused")


def seen(state: State, at: float) -> ServiceRecord:
    return replace(ServiceRecord(), state=state, checked_at=at)


def test_uptime_is_a_share_of_time_however_often_a_failing_service_is_checked(
    tmp_path: Path,
) -> None:
    past = history(tmp_path)
    for offset in range(0, 600, 30):
        past.on_check(PHI, seen(State.OK, NOW + offset))
    for offset in range(570, 601, 5):
        past.on_check(PHI, seen(State.DOWN, NOW + offset))
    # Ten minutes up (the first check counts for a minute before it), and half a minute down.
    assert past.services["phi"].months.uptime(NOW + 600) == pytest.approx(630 / 660)


def test_time_without_a_monitor_is_not_counted(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.on_check(PHI, seen(State.OK, NOW))
    past.on_check(PHI, seen(State.DOWN, NOW + 100_000))
    assert past.services["phi"].months.uptime(NOW + 100_000) == pytest.approx(1 / 2)


def test_the_first_start_is_not_an_outage_and_a_later_one_is(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.on_check(PHI, seen(State.STARTING, NOW))
    past.on_check(PHI, seen(State.LOADING, NOW + 30))
    assert past.services["phi"].day.uptime(NOW + 30) is None
    assert [b.worst for b in past.services["phi"].day.buckets(NOW + 30)][-1] is State.LOADING
    past.on_check(PHI, seen(State.OK, NOW + 60))
    past.on_check(PHI, seen(State.STARTING, NOW + 90))
    assert past.services["phi"].day.uptime(NOW + 90) == pytest.approx(1 / 2)


def test_an_incident_runs_from_failure_to_recovery_with_its_restarts(tmp_path: Path) -> None:
    past = history(tmp_path)
    for offset, event_type in enumerate(
        (EventType.FAILED, EventType.RESTARTED, EventType.RESTARTED, EventType.RECOVERED)
    ):
        past.on_event(PHI, event(event_type, NOW + offset))
    past.on_event(PHI, event(EventType.RESTARTED, NOW + 9))
    (incident,) = past.services["phi"].incidents
    assert (incident.began_at, incident.ended_at, incident.restarts) == (NOW, NOW + 3, 2)


def test_incidents_and_their_notes_are_bounded(tmp_path: Path) -> None:
    past = history(tmp_path)
    for _ in range(100):
        past.on_event(PHI, event(EventType.FAILED))
        for _ in range(50):
            past.on_event(PHI, event(EventType.RESTART_HELD))
        past.on_event(PHI, event(EventType.RECOVERED))
    incidents = past.services["phi"].incidents
    assert len(incidents) == INCIDENTS_KEPT
    assert {len(incident.notes) for incident in incidents} == {NOTES_KEPT}


async def test_history_survives_a_restart_of_the_monitor(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.on_event(PHI, event(EventType.FAILED))
    record = replace(ServiceRecord(), state=State.OK, latency=0.25, checked_at=NOW)
    past.on_check(PHI, record)
    await past._save_incidents()
    await past._save_rings()
    later = history(tmp_path)
    assert later.services["phi"].incidents == past.services["phi"].incidents
    for name in ("day", "months"):
        before, after = (list(getattr(h.services["phi"], name).buckets(NOW)) for h in (past, later))
        assert before == after


def test_waiting_for_a_dependency_is_not_uptime(tmp_path: Path) -> None:
    past = history(tmp_path)
    record = replace(ServiceRecord(), state=State.DEGRADED, code="dependency", checked_at=NOW)
    past.on_check(PHI, record)
    assert past.services["phi"].day.uptime(NOW) == 0
