"""What is kept of the past, in how little space, and through restarts."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.monitor.decisions.decisions import Event, Happening, Memory
from app.monitor.decisions.states import State
from app.monitor.settings import Service
from app.monitor.store.history import (
    DAY,
    DAYS,
    INCIDENTS_KEPT,
    NOTES_KEPT,
    QUARTER,
    QUARTERS,
    RANK,
    History,
    Ring,
)

PHI = Service.model_validate({"name": "phi", "url": "http://phi"})
NOW = 1_700_000_000.0
OK, DOWN = RANK[State.OK], RANK[State.DOWN]


def history(folder: Path) -> History:
    return History(["phi"], 30.0, folder, lambda: NOW)


def event(happening: Happening, at: float = NOW) -> Event:
    return Event(happening, "phi", at, "why", code="refused")


def test_a_ring_knows_share_worst_state_and_mean_latency_of_each_span() -> None:
    ring = Ring(QUARTER, QUARTERS)
    for latency in (0.1, 0.3):
        ring.add(NOW, seconds=30, good=True, rank=OK, latency=latency)
    ring.add(NOW, seconds=30, good=False, rank=DOWN, latency=9.0)
    last = list(ring.buckets(NOW))[-1]
    assert (last.watched, last.good, last.worst) == (90, 60, State.DOWN)
    assert last.latency == pytest.approx(0.2)
    assert ring.uptime(NOW) == pytest.approx(2 / 3)


def test_what_is_older_than_the_ring_is_forgotten_and_gaps_are_gaps() -> None:
    ring = Ring(DAY, DAYS)
    for day in (0, 1, 5, 92):
        ring.add(NOW + day * DAY, seconds=1, good=True, rank=OK, latency=None)
    buckets = list(ring.buckets(NOW + 92 * DAY))
    watched = [index for index, bucket in enumerate(buckets) if bucket.watched]
    assert len(buckets) == DAYS
    assert watched == [2, 89], "day 5 and day 92"


def test_a_clock_that_steps_back_loses_nothing() -> None:
    ring = Ring(QUARTER, QUARTERS)
    ring.add(NOW, seconds=1, good=True, rank=OK, latency=None)
    ring.add(NOW - 10_000, seconds=1, good=True, rank=OK, latency=None)
    assert sum(bucket.watched for bucket in ring.buckets(NOW)) == 2


def seen(state: State, at: float) -> Memory:
    return replace(Memory(), state=state, checked_at=at)


def test_uptime_is_a_share_of_time_however_often_a_failing_service_is_asked(
    tmp_path: Path,
) -> None:
    past = history(tmp_path)
    for offset in range(0, 600, 30):
        past.count(PHI, seen(State.OK, NOW + offset))
    for offset in range(570, 601, 5):
        past.count(PHI, seen(State.DOWN, NOW + offset))
    # Ten minutes good (the first check speaks for a minute before it), and half a minute down.
    assert past.records["phi"].months.uptime(NOW + 600) == pytest.approx(630 / 660)


def test_a_monitor_that_was_away_counts_nothing_for_that_time(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.count(PHI, seen(State.OK, NOW))
    past.count(PHI, seen(State.DOWN, NOW + 100_000))
    assert past.records["phi"].months.uptime(NOW + 100_000) == pytest.approx(1 / 2)


def test_coming_up_for_the_first_time_is_no_outage_and_a_later_start_is(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.count(PHI, seen(State.STARTING, NOW))
    past.count(PHI, seen(State.LOADING, NOW + 30))
    assert past.records["phi"].day.uptime(NOW + 30) is None
    assert [b.worst for b in past.records["phi"].day.buckets(NOW + 30)][-1] is State.LOADING
    past.count(PHI, seen(State.OK, NOW + 60))
    past.count(PHI, seen(State.STARTING, NOW + 90))
    assert past.records["phi"].day.uptime(NOW + 90) == pytest.approx(1 / 2)


def test_an_incident_runs_from_failure_to_recovery_with_its_restarts(tmp_path: Path) -> None:
    past = history(tmp_path)
    for offset, happening in enumerate(
        (Happening.FAILED, Happening.RESTARTED, Happening.RESTARTED, Happening.RECOVERED)
    ):
        past.hear(PHI, event(happening, NOW + offset))
    past.hear(PHI, event(Happening.RESTARTED, NOW + 9))
    (incident,) = past.records["phi"].incidents
    assert (incident.began_at, incident.ended_at, incident.restarts) == (NOW, NOW + 3, 2)


def test_incidents_and_their_notes_are_bounded(tmp_path: Path) -> None:
    past = history(tmp_path)
    for _ in range(100):
        past.hear(PHI, event(Happening.FAILED))
        for _ in range(50):
            past.hear(PHI, event(Happening.RESTART_HELD))
        past.hear(PHI, event(Happening.RECOVERED))
    incidents = past.records["phi"].incidents
    assert len(incidents) == INCIDENTS_KEPT
    assert {len(incident.notes) for incident in incidents} == {NOTES_KEPT}


async def test_history_survives_a_restart_of_the_monitor(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.hear(PHI, event(Happening.FAILED))
    memory = replace(Memory(), state=State.OK, latency=0.25, checked_at=NOW)
    past.count(PHI, memory)
    await past._save_incidents()
    await past._save_rollups()
    later = history(tmp_path)
    assert later.records["phi"].incidents == past.records["phi"].incidents
    for name in ("day", "months"):
        before, after = (list(getattr(h.records["phi"], name).buckets(NOW)) for h in (past, later))
        assert before == after


def test_a_history_of_another_shape_is_ignored() -> None:
    ring = Ring(DAY, DAYS)
    ring.unpack(5, Ring(DAY, 7).pack()[1])
    assert ring.uptime(NOW) is None


def test_waiting_for_a_dependency_is_no_uptime(tmp_path: Path) -> None:
    past = history(tmp_path)
    memory = replace(Memory(), state=State.DEGRADED, code="dependency", checked_at=NOW)
    past.count(PHI, memory)
    assert past.records["phi"].day.uptime(NOW) == 0
