"""Maintenance windows: their times in every time zone, and what the monitor does in them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.monitor.decisions.records import Event, ServiceRecord
from app.monitor.decisions.states import State, Verdict
from app.monitor.maintenance import MaintenanceSchedule
from app.monitor.settings import MaintenanceWindow, Service, Settings
from app.monitor.watch import Watch
from tests.unit.monitor.test_watch import OK, REFUSED, Clock, Scripted, rounds

BERLIN = ZoneInfo("Europe/Berlin")


def schedule(**window: object) -> MaintenanceSchedule:
    given = {"start": "03:00", "duration": 7200, "time_zone": "Europe/Berlin"} | window
    return MaintenanceSchedule([MaintenanceWindow.model_validate(given)])


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def is_on(plan: MaintenanceSchedule, text: str, service: str = "phi") -> bool:
    return plan.until(service, at(text)) is not None


def test_a_daily_window_is_on_from_its_start_to_its_end() -> None:
    plan = schedule()
    assert not is_on(plan, "2026-11-28T02:59:59")
    assert plan.until("phi", at("2026-11-28T03:00")) == at("2026-11-28T05:00")
    assert not is_on(plan, "2026-11-28T05:00")
    assert is_on(plan, "2026-11-29T04:59:59")


def test_a_weekly_window_may_cross_midnight() -> None:
    plan = schedule(days=["sunday"], start="23:00", duration=3 * 3600)
    assert is_on(plan, "2026-11-29T23:30"), "a Sunday"
    assert is_on(plan, "2026-11-30T01:59")
    assert not is_on(plan, "2026-11-30T23:30")
    assert is_on(plan, "2026-12-06T23:30")


def test_a_window_of_several_days_is_on_after_its_first_day() -> None:
    plan = schedule(days=["friday"], start="18:00", duration=60 * 3600)
    assert is_on(plan, "2026-11-29T12:00"), "the Sunday after"
    assert not is_on(plan, "2026-11-30T06:00")


def test_a_single_window_is_on_once() -> None:
    plan = schedule(date="2026-11-28")
    assert not is_on(plan, "2026-11-27T04:00")
    assert is_on(plan, "2026-11-28T04:00")
    assert not is_on(plan, "2026-11-29T04:00")


def test_a_window_follows_the_local_time_through_the_year() -> None:
    plan = schedule()
    for day in ("2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"):
        assert is_on(plan, f"{day}T03:00"), day
        assert not is_on(plan, f"{day}T06:00"), day


def test_a_clock_that_steps_back_finds_the_window_again() -> None:
    plan = schedule()
    assert is_on(plan, "2026-11-28T04:00")
    assert not is_on(plan, "2026-11-28T06:00")
    assert is_on(plan, "2026-11-28T04:00")


def test_a_window_of_some_services_leaves_the_others() -> None:
    plan = schedule(services=["phi"])
    assert is_on(plan, "2026-11-28T04:00")
    assert not is_on(plan, "2026-11-28T04:00", "chat")


def test_the_latest_end_of_two_windows_counts() -> None:
    windows = [
        MaintenanceWindow.model_validate({"start": "03:00", "duration": duration})
        for duration in (3600, 7200)
    ]
    plan = MaintenanceSchedule(windows)
    assert plan.until("phi", at("2026-11-28T04:30")) == at("2026-11-28T06:00")


@pytest.mark.parametrize("zone", ["Europe/Berlinn", "../../etc/passwd", "", "Europe"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        schedule(time_zone=zone)


async def test_in_maintenance_checks_go_on_and_nothing_is_restarted_alerted_or_counted(
    tmp_path: Path,
) -> None:
    scripted, clock, events, counted = Scripted(), Clock(), list[Event](), list[bool]()

    def on_check(service: Service, record: ServiceRecord, *, counted: bool) -> None:
        seen.append(counted)

    seen = counted
    window = {"date": "2026-11-28", "start": "03:00", "duration": 7200, "services": ["phi"]}
    settings = Settings.model_validate(
        {
            "stack": "dev",
            "internal": {"state_dir": tmp_path},
            "services": [{"name": "phi", "url": "http://phi", "start_grace": 0}],
            "maintenance": [window],
        }
    )
    clock.now = datetime.fromisoformat("2026-11-28T03:00:00Z").timestamp()
    watch = Watch(
        settings,
        scripted,
        scripted,
        clock=clock,
        listeners=[lambda service, event: events.append(event)],
        check_listeners=[on_check],
    )
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 6)
    assert watch.records["phi"].state is State.DOWN
    assert scripted.requested == []
    assert not [event for event in events if event.alert]
    assert counted == [False] * 6
    clock.now += 7200
    await rounds(watch, clock, 1)
    assert [name for name, _ in scripted.requested] == ["phi"]
    assert [event for event in events if event.alert]
    assert counted[-1] is True


async def test_a_service_that_works_again_before_the_end_is_never_alerted(tmp_path: Path) -> None:
    scripted, clock, events = Scripted(), Clock(), list[Event]()
    settings = Settings.model_validate(
        {
            "stack": "dev",
            "internal": {"state_dir": tmp_path},
            "services": [{"name": "phi", "url": "http://phi", "start_grace": 0}],
            "maintenance": [{"start": "00:00", "duration": 24 * 3600}],
        }
    )
    watch = Watch(
        settings,
        scripted,
        scripted,
        clock=clock,
        listeners=[lambda service, event: events.append(event)],
    )
    verdicts: list[Verdict] = [REFUSED, OK]
    for verdict in verdicts:
        scripted.verdicts["phi"] = verdict
        await rounds(watch, clock, 6)
    assert watch.records["phi"].healthy is True
    assert not [event for event in events if event.alert]
