"""History: its content, its bounds, and restarts of the monitor."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.monitor.decisions.records import DEPENDENCY, Event, EventType, ServiceRecord
from app.monitor.decisions.states import State
from app.monitor.settings import Service
from app.monitor.store.history import INCIDENTS_KEPT, NOTES_KEPT, History
from app.monitor.store.ring import DAY, RANK

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


@pytest.mark.parametrize("state", [State.STARTING, State.LOADING, State.DOWN, State.STALLED])
def test_uptime_counts_from_the_first_success(tmp_path: Path, state: State) -> None:
    past = history(tmp_path)
    for offset in range(0, 420, 30):
        past.on_check(PHI, seen(state, NOW + offset))
    assert past.services["phi"].day.uptime(NOW + 420) is None
    assert [b.worst for b in past.services["phi"].day.buckets(NOW + 420)][-1] is state
    past.on_check(PHI, seen(State.OK, NOW + 420))
    assert past.services["phi"].day.uptime(NOW + 420) == 1
    past.on_check(PHI, seen(State.STARTING, NOW + 450))
    assert past.services["phi"].day.uptime(NOW + 450) == pytest.approx(1 / 2)


async def test_a_restart_of_the_monitor_keeps_the_first_success(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.on_check(PHI, seen(State.OK, NOW - 100 * DAY))
    past.on_check(PHI, seen(State.DOWN, NOW - 60))
    await past._save_rings()
    later = history(tmp_path)
    later.on_check(PHI, seen(State.DOWN, NOW))
    assert later.services["phi"].day.uptime(NOW) == 0


def test_a_pause_does_not_count(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.on_check(PHI, seen(State.OK, NOW))
    past.on_check(PHI, seen(State.DOWN, NOW + 30), counted=False)
    past.on_check(PHI, seen(State.DOWN, NOW + 600), counted=False)
    assert past.services["phi"].day.uptime(NOW + 600) == 1
    past.on_check(PHI, seen(State.OK, NOW + 630))
    assert sum(b.watched for b in past.services["phi"].day.buckets(NOW + 630)) == 90


async def stored_by_an_earlier_version(folder: Path, *checks: tuple[bool, float]) -> None:
    """Rings that count from the first check on, without served.json."""
    past = history(folder)
    for good, at in checks:
        rank = RANK[State.OK if good else State.DEGRADED]
        for ring in (past.services["phi"].day, past.services["phi"].months):
            ring.add(at, seconds=30, good=good, rank=rank, latency=0.01)
    await past._save_rings()
    (folder / "served.json").unlink()


async def test_an_earlier_version_counted_the_wait_for_a_model(tmp_path: Path) -> None:
    checks = [(minute > 5, NOW - 600 + 60 * minute) for minute in range(8)]
    await stored_by_an_earlier_version(tmp_path, *checks)
    past = history(tmp_path).services["phi"]
    assert (past.day.uptime(NOW), past.months.uptime(NOW)) == (1, 1)


async def test_an_earlier_version_counted_a_service_that_never_served(tmp_path: Path) -> None:
    await stored_by_an_earlier_version(tmp_path, (False, NOW - 60), (False, NOW - 30))
    past = history(tmp_path).services["phi"]
    assert (past.day.uptime(NOW), past.months.uptime(NOW)) == (None, None)


async def test_real_outages_of_an_earlier_version_stay(tmp_path: Path) -> None:
    checks = [(True, NOW - 5 * DAY), (False, NOW - 2 * DAY), (True, NOW - DAY), (False, NOW - 60)]
    await stored_by_an_earlier_version(tmp_path, *checks)
    past = history(tmp_path).services["phi"]
    assert (past.day.uptime(NOW), past.months.uptime(NOW)) == (0, 1 / 2)


async def test_an_incident_on_the_first_day_stays(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.on_event(PHI, event(EventType.FAILED, NOW - 90))
    await past._save_incidents()
    await stored_by_an_earlier_version(tmp_path, (True, NOW - 120), (False, NOW - 60))
    assert history(tmp_path).services["phi"].months.uptime(NOW) == 1 / 2


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


def test_waiting_for_a_dependency_counts_neither_as_uptime_nor_as_downtime(
    tmp_path: Path,
) -> None:
    past = history(tmp_path)
    waiting = replace(ServiceRecord(), state=State.DEGRADED, code=DEPENDENCY)
    past.on_check(PHI, replace(waiting, checked_at=NOW))
    assert past.services["phi"].day.uptime(NOW) is None
    past.on_check(PHI, seen(State.OK, NOW + 30))
    past.on_check(PHI, replace(waiting, checked_at=NOW + 60))
    assert past.services["phi"].day.uptime(NOW + 60) == 1
