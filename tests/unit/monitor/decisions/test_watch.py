"""The watch: rhythm, persistence, and the order in which a decision is kept and carried out."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.monitor.decisions.decisions import Event, Happening, Outcome, Pending, RestartAnswer
from app.monitor.decisions.states import State, Verdict
from app.monitor.decisions.watch import Watch, next_check_at
from app.monitor.settings import Service, Settings, Thresholds
from app.restarter.server import CONNECTIONS
from tests.unit.monitor.conftest import LogLines

OK = Verdict(State.OK, "ok", "HTTP 200")
REFUSED = Verdict(State.DOWN, "refused", "connection refused")
LOADING = Verdict(State.LOADING, "loading", "loads its model")
NOT_READY = Verdict(State.DOWN, "not_ready", "not ready", excusable=True)


class Scripted:
    """A checker whose verdicts are set, and a restarter that keeps what it was asked."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict | Exception] = {}
        self.asked: list[tuple[str, Pending]] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.answer = RestartAnswer(Outcome.RESTARTED)
        self.checked: asyncio.Queue[str] = asyncio.Queue()
        self.forgotten: list[str] = []

    async def check(self, service: Service, now: float) -> Verdict:
        self.checked.put_nowait(service.name)
        verdict = self.verdicts.get(service.name, OK)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def forget(self, service: Service) -> None:
        self.forgotten.append(service.name)

    async def checks(self, name: str) -> None:
        """Wait until a service is checked."""
        while await self.checked.get() != name:
            pass

    async def restart(self, service: Service, pending: Pending) -> RestartAnswer:
        self.asked.append((service.name, pending))
        self.before_answer()
        return self.answer

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
        while watch._tasks:
            await asyncio.gather(*watch._tasks)


async def test_a_chat_that_notices_first_that_its_model_is_down_is_not_blamed(
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
    assert (watch.memories["phi"].restarts_total, watch.memories["chat"].restarts_total) == (1, 0)
    assert watch.memories["chat"].code == "dependency"


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


async def test_what_was_well_for_long_is_checked_more_often_from_its_first_failure_on(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock, interval=30)
    phi = watch.services["phi"]
    await rounds(watch, clock, 2)
    clock.now += 3600
    await watch.check(phi)
    assert watch._pace(phi) == 30
    scripted.verdicts["phi"] = REFUSED
    await watch.check(phi)
    assert watch._pace(phi) == Thresholds().retry_interval


@pytest.mark.parametrize("pace", [0.2, 5.0, 7.3, 30.0])
def test_checks_begin_at_common_ticks_and_keep_their_pace(pace: float) -> None:
    """Each begins a little late, and must not lose a tick each time."""
    first = next_check_at(100.0 + pace, pace, now=100.001)
    assert first == pytest.approx(100 + pace, abs=0.25)
    at = first
    for _ in range(100):
        at = next_check_at(at + 0.004 + pace, pace, now=at + 0.01)
    assert at == pytest.approx(first + 100 * pace)


def test_checks_that_come_due_apart_share_ticks_all_the_same() -> None:
    found = {next_check_at(130 + shift / 100, 30.0, now=100.0) for shift in range(0, 100, 7)}
    assert found == {130.0, 130.5, 131.0}


def test_checks_that_take_longer_than_their_pace_are_not_one_after_the_other_at_once() -> None:
    assert next_check_at(101.0, 1.0, now=107.0) == 107.05


async def test_what_was_seen_of_a_service_is_forgotten_once_it_is_restarted(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 3)
    assert scripted.forgotten == ["phi"]


async def test_a_decision_is_on_disk_before_the_restarter_is_asked(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    seen: list[object] = []
    state = tmp_path / "state.json"
    scripted.before_answer = lambda: seen.append(json.loads(state.read_text())["phi"]["pending"])
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 3)
    assert len(seen) == 1
    assert seen[0] is not None
    assert json.loads(state.read_text())["phi"]["pending"] is None, "and the outcome after it"


async def test_a_monitor_killed_in_the_middle_of_a_decision_asks_the_same_again(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    scripted.before_answer = die
    with pytest.raises(Killed):
        await rounds(watch, clock, 3)
    asked_again = asyncio.Event()
    scripted.before_answer = asked_again.set
    successor = make(tmp_path, scripted, clock)
    running = asyncio.create_task(successor.run())
    await asked_again.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (_, first), (_, second) = scripted.asked
    assert first == second


@pytest.mark.parametrize(
    ("verdict", "paused", "asked"),
    [
        (REFUSED, False, 1),
        (REFUSED, True, 0),
        (OK, False, 0),
        (LOADING, False, 0),
        (RuntimeError("surprise"), False, 0),
    ],
)
async def test_a_remembered_restart_is_asked_for_only_if_the_first_check_still_fails(
    tmp_path: Path, verdict: Verdict | Exception, paused: bool, asked: int
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    for _ in range(3):
        await watch.check(watch.services["phi"])
    assert watch.memories["phi"].pending
    for task in watch._tasks:
        task.cancel()
    if paused:
        watch.pause(["phi"], 600)
    await watch.save()
    scripted.verdicts["phi"] = verdict
    scripted.asked.clear()
    scripted.checked = asyncio.Queue()
    events: list[Event] = []
    successor = make(tmp_path, scripted, clock)
    successor._listeners = (lambda service, event: events.append(event),)
    running = asyncio.create_task(successor.run())
    try:
        async with asyncio.timeout(10):
            await scripted.checks("phi")
            await asyncio.sleep(0)
            await asyncio.gather(*successor._tasks)
            assert successor.memories["phi"].pending is None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(scripted.asked) == asked
    assert not [event for event in events if event.alert]
    assert Happening.RESTART_ASKED not in [event.happening for event in events]


async def test_what_fails_at_once_is_restarted_within_the_connections_of_the_restarter(
    tmp_path: Path,
) -> None:
    scripted, clock, running, most = Scripted(), Clock(), 0, 0

    async def restart(service: Service, pending: Pending) -> RestartAnswer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return scripted.answer

    names = [f"phi-{number}" for number in range(3 * CONNECTIONS)]
    services = [{"name": name, "url": "http://phi", "start_grace": 0} for name in names]
    watch = make(tmp_path, scripted, clock, services=services)
    scripted.restart = restart  # type: ignore[method-assign]
    scripted.verdicts = dict.fromkeys(names, REFUSED)
    await rounds(watch, clock, 3)
    assert most < CONNECTIONS
    assert all(memory.restarts_total == 1 for memory in watch.memories.values())


@pytest.mark.parametrize("verdict", [OK, REFUSED])
async def test_a_restart_that_waits_for_its_turn_is_left_if_it_is_no_longer_wanted(
    tmp_path: Path, verdict: Verdict
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    watch._restart_turn = asyncio.Semaphore(0)
    scripted.verdicts["phi"] = REFUSED
    for _ in range(3):
        await watch.check(watch.services["phi"])
    scripted.verdicts["phi"] = verdict
    await watch.check(watch.services["phi"])
    if verdict is REFUSED:
        watch.pause(["phi"], 600)
    watch._restart_turn.release()
    await rounds(watch, clock, 1)
    assert (scripted.asked, watch.memories["phi"].pending) == ([], None)


async def test_an_answer_in_a_pause_is_no_alert(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    events: list[Event] = []
    watch = make(tmp_path, scripted, clock)
    watch._listeners = (lambda service, event: events.append(event),)
    scripted.verdicts["phi"] = REFUSED
    scripted.answer = RestartAnswer(Outcome.ENGINE_FAILED)
    scripted.before_answer = lambda: watch.pause(["phi"], 600)
    await rounds(watch, clock, 3)
    assert events[-1].happening is Happening.RESTART_FAILED
    assert [event.happening for event in events if event.alert] == [Happening.FAILED]


async def test_what_was_learnt_survives_a_restart_of_the_monitor(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 400)
    await watch.save()
    assert make(tmp_path, scripted, clock).memories == watch.memories
    assert watch.memories["phi"].gave_up_at is not None


@pytest.mark.parametrize("content", [b"", b"{", b'{"phi": {"state": "odd"}}', b"\xff"])
async def test_an_unreadable_state_is_set_aside_and_the_watch_starts_anew(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "state.json").write_bytes(content)
    watch = make(tmp_path, Scripted(), Clock())
    assert watch.memories["phi"].state is State.UNKNOWN
    assert (tmp_path / "state.unreadable").read_bytes() == content


async def test_a_chat_waits_for_its_model_and_one_alert_is_raised(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    events: list[Event] = []
    watch = make(tmp_path, scripted, clock)
    watch._listeners = (lambda service, event: events.append(event),)
    await rounds(watch, clock, 2)
    scripted.verdicts |= {"phi": REFUSED, "chat": NOT_READY}
    await rounds(watch, clock, 5)
    assert {name for name, _ in scripted.asked} == {"phi"}
    assert [event.service for event in events if event.alert] == ["phi"]


async def test_a_check_that_breaks_makes_its_service_unknown_and_no_other(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    scripted.verdicts["phi"] = RuntimeError("surprise")
    await rounds(watch, clock, 5)
    assert watch.memories["phi"].state is State.UNKNOWN
    assert watch.memories["chat"].state is State.OK
    assert scripted.asked == []


async def test_a_state_folder_that_cannot_be_written_does_not_stop_the_watch(
    tmp_path: Path,
) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path / "missing", scripted, clock)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 3)
    assert len(scripted.asked) == 1
    assert not watch.state_writable


async def test_a_pause_holds_restarts_and_a_resume_lets_them_go(tmp_path: Path) -> None:
    scripted, clock = Scripted(), Clock()
    watch = make(tmp_path, scripted, clock)
    watch.pause(["phi"], 600)
    scripted.verdicts["phi"] = REFUSED
    await rounds(watch, clock, 20)
    assert scripted.asked == []
    watch.resume(["phi"])
    await rounds(watch, clock, 1)
    assert len(scripted.asked) == 1


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
