"""The watch: pace, saved state, and the order in which a decision is saved and carried out."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.monitor.decisions.records import (
    Event,
    EventType,
    PendingRestart,
    RestartOutcome,
    RestartResult,
)
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Service, Settings
from app.monitor.watch import Watch
from app.restarter.server import MAX_CONNECTIONS
from tests.unit.monitor.conftest import LogLines

OK = Verdict(State.OK, "ok", "HTTP 200")
REFUSED = Verdict(State.DOWN, "refused", "connection refused")
LOADING = Verdict(State.LOADING, "loading", "loads its model")
NOT_READY = Verdict(State.DOWN, "not_ready", "not ready", excusable=True)


class Scripted:
    """A checker with set verdicts, and a restarter that keeps the requests."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict | Exception] = {}
        self.requested: list[tuple[str, PendingRestart]] = []
        self.before_result: Callable[[], None] = lambda: None
        self.result = RestartResult(RestartOutcome.RESTARTED)
        self.checked: asyncio.Queue[str] = asyncio.Queue()
        self.was_reset: list[str] = []

    async def check(self, service: Service, now: float) -> Verdict:
        self.checked.put_nowait(service.name)
        verdict = self.verdicts.get(service.name, OK)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def reset(self, service: Service) -> None:
        self.was_reset.append(service.name)

    async def checks(self, name: str) -> None:
        """Wait until a service is checked."""
        while await self.checked.get() != name:
            pass

    async def restart(self, service: Service, pending: PendingRestart) -> RestartResult:
        self.requested.append((service.name, pending))
        self.before_result()
        return self.result

    async def works(self) -> bool:
        return True


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def make(folder: Path, scripted: Scripted, clock: Clock, **changes: object) -> Watch:
    data: dict[str, object] = {
        "stack": "dev",
        "internal": {"state_dir": folder},
        "services": [
            {"name": "phi", "url": "http://phi", "start_grace": 0},
            {"name": "chat", "url": "http://chat", "start_grace": 0, "depends_on": ["phi"]},
        ],
    }
    return Watch(Settings.model_validate(data | changes), scripted, scripted, clock=clock)


async def rounds(watch: Watch, clock: Clock, count: int) -> None:
    for _ in range(count):
        for service in watch.services.values():
            await watch.check(service)
        clock.now += 5
        while watch._restart_tasks:
            await asyncio.gather(*watch._restart_tasks)


async def test_a_chat_that_fails_before_its_model_is_checked_is_not_restarted(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    await rounds(watch, clock, 2)
    clock.now += 1
    scripted.verdicts |= {"phi": REFUSED, "chat": NOT_READY}
    for _ in range(5):
        await watch.check(watch.services["chat"])
        clock.now += 5
    await rounds(watch, clock, 5)
    assert (watch.records["phi"].restarts_total, watch.records["chat"].restarts_total) == (1, 0)
    assert watch.records["chat"].code == "dependency"


async def test_a_model_that_may_explain_a_failing_chat_is_checked_at_once(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock, interval=3600)
    await rounds(watch, clock, 2)
    scripted.checked = asyncio.Queue()
    following = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(10):
            await scripted.checks("phi")
            clock.now += 1
            scripted.verdicts["chat"] = NOT_READY
            await watch.check(watch.services["chat"])
            await scripted.checks("phi")
    finally:
        following.cancel()


async def test_a_server_that_the_stack_does_not_run_is_reported_and_not_restarted(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    services = [
        {"name": "far", "url": "http://192.0.2.7:8000", "start_grace": 0, "restart": False},
        {"name": "near", "url": "http://near:8000", "start_grace": 0},
    ]
    watch = make(tmp_path, scripted, clock, services=services)
    scripted.verdicts |= {"far": REFUSED, "near": REFUSED}
    await rounds(watch, clock, 5)
    assert watch.records["far"].healthy is False
    assert watch.records["far"].alerted
    assert {service for service, _ in scripted.requested} == {"near"}


async def test_earlier_checks_are_dropped_after_a_restart(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 3)
    assert scripted.was_reset == ["phi"]


async def test_a_decision_is_saved_before_the_restart_is_requested(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    seen: list[object] = []
    state = tmp_path / "state.json"
    scripted.before_result = lambda: seen.append(json.loads(state.read_text())["phi"]["pending"])
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 3)
    assert len(seen) == 1
    assert seen[0] is not None
    assert json.loads(state.read_text())["phi"]["pending"] is None, "and the result afterwards"


async def test_a_monitor_killed_during_a_restart_requests_the_same_again(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    scripted.before_result = die
    with pytest.raises(Killed):
        await rounds(watch, clock, 3)
    requested_again = asyncio.Event()
    scripted.before_result = requested_again.set
    successor = make(tmp_path, scripted, clock)
    running = asyncio.create_task(successor.run())
    await requested_again.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (_, first), (_, second) = scripted.requested
    assert first == second


@pytest.mark.parametrize(
    ("verdict", "paused", "requested"),
    [
        (REFUSED, False, 1),
        (REFUSED, True, 0),
        (OK, False, 0),
        (LOADING, False, 0),
        (RuntimeError("surprise"), False, 0),
    ],
)
async def test_a_saved_restart_is_requested_only_if_the_first_check_still_fails(
    tmp_path: Path, verdict: Verdict | Exception, paused: bool, requested: int
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    for _ in range(3):
        await watch.check(watch.services["phi"])
    assert watch.records["phi"].pending
    for task in watch._restart_tasks:
        task.cancel()
    if paused:
        watch.pause(["phi"], 600)
    await watch.save()
    scripted.verdicts["phi"] = verdict
    scripted.requested.clear()
    scripted.checked = asyncio.Queue()
    events: list[Event] = []
    successor = make(tmp_path, scripted, clock)
    successor._listeners = (lambda service, event: events.append(event),)
    running = asyncio.create_task(successor.run())
    try:
        async with asyncio.timeout(10):
            await scripted.checks("phi")
            await asyncio.sleep(0)
            await asyncio.gather(*successor._restart_tasks)
            assert successor.records["phi"].pending is None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(scripted.requested) == requested
    assert not [event for event in events if event.alert]
    assert EventType.RESTART_REQUESTED not in [event.type for event in events]


async def test_simultaneous_restarts_stay_below_the_connections_of_the_restarter(
    tmp_path: Path,
) -> None:
    scripted, clock, running, most = Scripted(), Clock(), 0, 0

    async def restart(service: Service, pending: PendingRestart) -> RestartResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return scripted.result

    names = [f"phi-{number}" for number in range(3 * MAX_CONNECTIONS)]
    services = [{"name": name, "url": "http://phi", "start_grace": 0} for name in names]
    watch = make(tmp_path, scripted, clock, services=services)
    scripted.restart = restart  # type: ignore[method-assign]
    scripted.verdicts = dict.fromkeys(names, REFUSED)
    await rounds(watch, clock, 3)
    assert most < MAX_CONNECTIONS
    assert all(record.restarts_total == 1 for record in watch.records.values())


@pytest.mark.parametrize("verdict", [OK, REFUSED])
async def test_a_waiting_restart_is_dropped_if_it_is_no_longer_needed(
    tmp_path: Path, verdict: Verdict
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    watch._restart_slots = asyncio.Semaphore(0)
    scripted.verdicts["phi"] = REFUSED
    for _ in range(3):
        await watch.check(watch.services["phi"])
    scripted.verdicts["phi"] = verdict
    await watch.check(watch.services["phi"])
    if verdict is REFUSED:
        watch.pause(["phi"], 600)
    watch._restart_slots.release()
    await rounds(watch, clock, 1)
    assert (scripted.requested, watch.records["phi"].pending) == ([], None)


async def test_a_result_in_a_pause_sends_no_alert(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    events: list[Event] = []
    watch = make(tmp_path, scripted, clock)
    watch._listeners = (lambda service, event: events.append(event),)
    scripted.verdicts["phi"] = REFUSED
    scripted.result = RestartResult(RestartOutcome.ENGINE_FAILED)
    scripted.before_result = lambda: watch.pause(["phi"], 600)
    await rounds(watch, clock, 3)
    assert events[-1].type is EventType.RESTART_FAILED
    assert [event.type for event in events if event.alert] == [EventType.FAILED]


async def test_records_survive_a_restart_of_the_monitor(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 400)
    await watch.save()
    assert make(tmp_path, scripted, clock).records == watch.records
    assert watch.records["phi"].gave_up_at is not None


@pytest.mark.parametrize("content", [b"", b"{", b'{"phi": {"state": "odd"}}', b"\xff"])
async def test_an_unreadable_state_file_is_renamed_and_the_watch_starts_anew(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "state.json").write_bytes(content)
    watch = make(tmp_path, Scripted(), Clock())
    assert watch.records["phi"].state is State.UNKNOWN
    assert (tmp_path / "state.unreadable").read_bytes() == content


async def test_a_chat_waits_for_its_model_and_one_alert_is_sent(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    events: list[Event] = []
    watch = make(tmp_path, scripted, clock)
    watch._listeners = (lambda service, event: events.append(event),)
    await rounds(watch, clock, 2)
    scripted.verdicts |= {"phi": REFUSED, "chat": NOT_READY}
    await rounds(watch, clock, 5)
    assert {name for name, _ in scripted.requested} == {"phi"}
    assert [event.service for event in events if event.alert] == ["phi"]


async def test_an_error_in_a_check_makes_only_its_service_unknown(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = RuntimeError("surprise")
    await rounds(watch, clock, 5)
    assert watch.records["phi"].state is State.UNKNOWN
    assert watch.records["chat"].state is State.OK
    assert scripted.requested == []


async def test_a_state_folder_that_cannot_be_written_does_not_stop_the_watch(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path / "missing", scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 3)
    assert len(scripted.requested) == 1
    assert not watch.state_writable


async def test_a_pause_stops_restarts_and_a_resume_allows_them(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    watch.pause(["phi"], 600)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 20)
    assert scripted.requested == []
    watch.resume(["phi"])
    await rounds(watch, clock, 1)
    assert len(scripted.requested) == 1


async def test_state_changes_are_logged_at_once_and_details_every_n_checks(
    tmp_path: Path, log_lines: LogLines
) -> None:
    clock = Clock()
    watch = make(tmp_path, Scripted(), clock)
    await rounds(watch, clock, 20)
    lines = log_lines()
    states = [line for line in lines if line["message"] == "state changed"]
    details = [line for line in lines if line["message"] == "service checked"]
    assert [(line["service"], line["after"]) for line in states] == [("phi", "ok"), ("chat", "ok")]
    assert [(line["service"], line["checks"]) for line in details] == [
        ("phi", 10),
        ("chat", 10),
        ("phi", 20),
        ("chat", 20),
    ]


async def test_a_service_that_leaves_during_its_restart_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 2)
    chat = watch.services["chat"].model_copy(update={"depends_on": ()})
    scripted.before_result = lambda: watch.update([chat])
    await rounds(watch, clock, 3)
    assert [name for name, _ in scripted.requested] == ["phi"]
    assert [*watch.services] == [*watch.records] == ["chat"]
    assert "phi" in scripted.was_reset


async def test_a_new_service_has_its_start_grace(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    await rounds(watch, clock, 3)
    new = Service.model_validate({"name": "qwen", "url": "http://qwen", "start_grace": 600})
    scripted.verdicts["qwen"] = REFUSED
    watch.update([*watch.services.values(), new])
    await rounds(watch, clock, 10)
    assert not scripted.requested
    assert watch.records["qwen"].state is State.STARTING
    clock.now += 600
    await rounds(watch, clock, 5)
    assert [name for name, _ in scripted.requested] == ["qwen"]


async def test_a_changed_service_keeps_its_record(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    await rounds(watch, clock, 3)
    record = watch.records["phi"]
    changed = watch.services["phi"].model_copy(update={"start_grace": 300.0})
    watch.update([changed, watch.services["chat"]])
    assert watch.records["phi"] == record
    assert watch.services["phi"] is changed


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
async def test_a_clock_that_is_set_neither_delays_nor_hastens_a_restart(
    tmp_path: Path, step: float
) -> None:
    scripted, clock, steps = Scripted(), Clock(), [0.0]
    watch = make(tmp_path, scripted, clock)
    watch._clock_step = lambda: steps.pop() if steps else 0.0
    await rounds(watch, clock, 2)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 4)
    assert len(scripted.requested) == 1
    again = watch.records["phi"].not_before - clock.now
    clock.now += step
    steps.append(step)
    await watch.check(watch.services["phi"])
    assert watch.records["phi"].not_before - clock.now == pytest.approx(again)
    assert "phi" in scripted.was_reset
    await rounds(watch, clock, int(again / 5))
    assert len(scripted.requested) == 1, "not before its backoff ends"
    await rounds(watch, clock, 2)
    assert len(scripted.requested) == 2


async def test_records_from_before_the_clock_was_set_back_are_moved_to_the_past(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 4)
    await watch.save()
    waits = watch.records["phi"].not_before - (watch.records["phi"].checked_at or 0)
    clock.now -= 86_400
    record = make(tmp_path, scripted, clock).records["phi"]
    assert (record.checked_at, record.not_before) == (clock.now, clock.now + waits)


async def test_a_restart_that_is_under_way_is_no_longer_shown_as_withheld(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    scripted.result = RestartResult(RestartOutcome.WAIT, "phi-1: running, healthy", wait=4)
    await rounds(watch, clock, 3)
    assert "waits for the container's own health check" in watch.records["phi"].held
    shown = []
    scripted.before_result = lambda: shown.append(watch.records["phi"])
    scripted.result = RestartResult(RestartOutcome.RESTARTED)
    await rounds(watch, clock, 2)
    (record,) = shown
    assert (record.held, record.pending is not None) == ("", True)
