"""Checks of each kind of service over real HTTP, and their verdicts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.monitor.checks.http_client import RESPONSE_LIMIT, HttpClient
from app.monitor.checks.prober import Prober
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Expectation, Kind, Service, Thresholds
from tests.doubles.watched_service import WatchedService, serving

OK = (200, {"status": "ok"})
LOADING = (503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
FETCHING = (503, {"error": {"message": "fetching the model: 42 %", "type": "unavailable_error"}})
THRESHOLDS = Thresholds(stall_after=120, canary_every=600)


def slot(
    busy: bool, decoded: int = 0, *, number: int = 0, task: int = 1, prompt: int = 0
) -> dict[str, object]:
    return {
        "id": number,
        "is_processing": busy,
        "id_task": task,
        "n_prompt_tokens_processed": prompt,
        "next_token": [{"n_decoded": decoded}],
    }


def slots(busy: bool, decoded: int = 0, *, task: int = 1) -> tuple[int, object]:
    return (200, [slot(busy, decoded, task=task)])


def metrics(decodes: int) -> tuple[int, object]:
    return (200, f"llamacpp:n_decode_total {decodes}\n")


MakeProber = Callable[[float], Prober]


@pytest.fixture
async def make_prober() -> AsyncIterator[MakeProber]:
    """Makes a prober whose requests have so many seconds."""
    http_client = HttpClient.create()
    yield lambda timeout: Prober(http_client, THRESHOLDS, timeout)
    await http_client.close()


@pytest.fixture
def prober(make_prober: MakeProber) -> Prober:
    return make_prober(10)


async def check(
    prober: Prober,
    service: WatchedService,
    kind: Kind,
    now: float = 0.0,
    url: str | None = None,
    **fields: object,
) -> Verdict:
    data = {"name": "a", "kind": kind, "url": url or service.url, **fields}
    return await prober.check(Service.model_validate(data), now)


@pytest.mark.parametrize(
    ("response", "expect", "state", "reason"),
    [
        (OK, Expectation(), State.OK, "HTTP 200"),
        ((204, ""), Expectation(status=(200, 204)), State.OK, "HTTP 204"),
        ((500, {"error": "boom"}), Expectation(), State.DOWN, "HTTP 500 (boom)"),
        ((404, "no"), Expectation(), State.DOWN, "HTTP 404"),
        ((302, ""), Expectation(), State.DOWN, "HTTP 302"),
        (LOADING, Expectation(), State.LOADING, "loads its model"),
        (
            FETCHING,
            Expectation(),
            State.LOADING,
            "not ready yet: HTTP 503 (fetching the model: 42 %)",
        ),
        ((200, {"status": "loading"}), Expectation(), State.LOADING, "reports status 'loading'"),
        ((503, {"status": "draining"}), Expectation(), State.DRAINING, "drains"),
        ((200, "all good"), Expectation(body_contains="good"), State.OK, "HTTP 200"),
        ((200, "bad"), Expectation(body_contains="good"), State.DOWN, "does not contain 'good'"),
        (OK, Expectation(json={"status": "ok"}), State.OK, "HTTP 200"),
        ((200, {"a": [{"b": 1}]}), Expectation(json={"a.0.b": 1}), State.OK, "HTTP 200"),
        ((200, {"a": []}), Expectation(json={"a.0.b": 1}), State.DOWN, "a.0.b is None, not 1"),
        (OK, Expectation(max_seconds=1e-9), State.DEGRADED, "more than 1e-09 s"),
    ],
)
async def test_a_response_is_judged_by_status_body_and_time(
    prober: Prober, response: tuple[int, object], expect: Expectation, state: State, reason: str
) -> None:
    async with serving(health=response) as service:
        data = {"name": "a", "url": f"{service.url}/health", "expect": expect}
        verdict = await prober.check(Service.model_validate(data), 0.0)
    assert (verdict.state, reason in verdict.reason) == (state, True), verdict


async def test_failures_of_the_network_have_different_codes(
    prober: Prober, make_prober: MakeProber
) -> None:
    async with serving(health=None) as service:
        hang = await check(make_prober(0.2), service, Kind.CHAT)
    refused = await check(prober, service, Kind.CHAT)
    unknown = await check(prober, WatchedService("http://nowhere.invalid"), Kind.CHAT)
    assert [(found.code, found.unreachable) for found in (hang, refused, unknown)] == [
        ("timeout", True),
        ("refused", False),
        ("dns", True),
    ]


@pytest.mark.parametrize("kind", [Kind.INFERENCE, Kind.CHAT, Kind.CONNECTOR])
async def test_a_server_that_hangs_is_confirmed_in_half_of_the_time(
    make_prober: MakeProber, kind: Kind
) -> None:
    prober = make_prober(0.4)
    hang: dict[str, tuple[int, object] | None] = dict.fromkeys(("health", "slots", "ready"))
    async with serving(**hang) as service:
        first = await check(prober, service, kind)
        second = await check(prober, service, kind)
        assert (first.code, second.code) == ("timeout", "timeout")
        assert second.reason == "no response within 0.2 s"
        service.responses |= {"/health": OK, "/ready": (200, {"readyConnections": 4})}
        service.responses["/slots"] = slots(busy=True)
        recovered = await check(prober, service, kind)
        assert recovered.state in (State.OK, State.BUSY)


async def test_an_endless_response_is_read_up_to_a_limit(prober: Prober) -> None:
    async with serving(health=(200, "x" * (4 * RESPONSE_LIMIT))) as service:
        assert (
            await check(prober, service, Kind.HTTP, url=f"{service.url}/health")
        ).state is State.OK


async def test_a_chat_is_down_by_itself_or_not_ready_because_of_others(prober: Prober) -> None:
    async with serving(health=(500, "")) as service:
        assert not (await check(prober, service, Kind.CHAT)).excusable
    async with serving(health=OK, ready=(503, {"reason": "no model answers"})) as service:
        verdict = await check(prober, service, Kind.CHAT)
        assert (verdict.state, verdict.excusable) == (State.DOWN, True)
        assert "no model answers" in verdict.reason
        service.responses["/ready"] = OK
        assert (await check(prober, service, Kind.CHAT)).state is State.OK


async def test_a_chat_with_a_warning_is_degraded(prober: Prober) -> None:
    ready = {"ready": True, "warning": "usage is not written: disk is full"}
    async with serving(health=OK, ready=(200, ready)) as service:
        verdict = await check(prober, service, Kind.CHAT)
    assert (verdict.state, verdict.code) == (State.DEGRADED, "warning")
    assert verdict.reason == "usage is not written: disk is full"


@pytest.mark.parametrize(
    ("response", "state", "code"),
    [
        ((200, {"status": 200, "readyConnections": 4}), State.OK, "ok"),
        ((503, {"status": 503, "readyConnections": 0}), State.DOWN, "no_edge"),
        ((404, "not found"), State.DOWN, "http_404"),
    ],
)
async def test_a_connector_is_checked_by_its_edge_connections(
    prober: Prober, response: tuple[int, object], state: State, code: str
) -> None:
    async with serving(ready=response) as service:
        verdict = await check(prober, service, Kind.CONNECTOR)
    assert (verdict.state, verdict.code) == (state, code)


async def test_an_idle_model_is_tested_with_one_token_at_the_set_rate(prober: Prober) -> None:
    async with serving(health=OK, slots=slots(False), metrics=metrics(5)) as service:
        service.responses["/completion"] = (200, {"content": "a"})
        for now in range(0, 1900, 30):
            assert (await check(prober, service, Kind.INFERENCE, float(now))).state is State.OK
        assert service.paths.count("/completion") == 4, "at 0, 600, 1200 and 1800 s"


async def test_real_use_makes_the_test_unnecessary(prober: Prober) -> None:
    async with serving(health=OK, slots=slots(False), metrics=metrics(0)) as service:
        service.responses["/completion"] = (200, {"content": "a"})
        for now in range(0, 1900, 30):
            service.responses["/metrics"] = metrics(now)
            await check(prober, service, Kind.INFERENCE, float(now))
        assert service.paths.count("/completion") == 1


@pytest.mark.parametrize("response", [None, (500, {"error": {"message": "decode failed"}})])
async def test_health_200_without_tokens_is_stalled(
    make_prober: MakeProber, response: tuple[int, object] | None
) -> None:
    prober = make_prober(1)
    async with serving(health=OK, slots=slots(False), completion=response) as service:
        verdict = await check(prober, service, Kind.INFERENCE)
    assert (verdict.state, verdict.code) == (State.STALLED, "no_token")


async def test_a_test_that_waits_behind_real_work_is_not_a_failure(prober: Prober) -> None:
    async with serving(health=OK, slots=slots(False), completion=(503, {})) as service:
        assert (await check(prober, service, Kind.INFERENCE)).state is State.BUSY


@pytest.mark.parametrize(
    ("work", "counted", "state"),
    [
        ([slot(True)], 5, State.STALLED),
        ([slot(True, prompt=2)], 5, State.STALLED),
        ([slot(True, 1)], 5, State.BUSY),
        ([slot(True, prompt=512)], 5, State.BUSY),
        ([slot(True), slot(True, number=1, task=2)], 5, State.BUSY),
        ([slot(True)], 9, State.BUSY),
    ],
)
async def test_a_test_without_response_is_not_excused_by_its_own_slot(
    make_prober: MakeProber, work: list[object], counted: int, state: State
) -> None:
    prober = make_prober(0.5)
    async with serving(
        health=OK, slots=slots(False), metrics=metrics(5), completion=None
    ) as service:
        checking = asyncio.create_task(check(prober, service, Kind.INFERENCE))
        await service.wait_for_request("/completion")
        service.responses |= {"/slots": (200, work), "/metrics": metrics(counted)}
        assert (await checking).state is state


@pytest.mark.parametrize(("grows", "last"), [(False, State.STALLED), (True, State.BUSY)])
async def test_if_tasks_change_without_work_the_counter_decides(
    prober: Prober, grows: bool, last: State
) -> None:
    async with serving(health=OK) as service:
        for now in range(0, 300, 30):
            service.responses["/slots"] = slots(True, task=now)
            service.responses["/metrics"] = metrics(5 + now * grows)
            verdict = await check(prober, service, Kind.INFERENCE, float(now))
    assert verdict.state is last


async def test_a_model_that_was_gone_has_its_full_time_again(prober: Prober) -> None:
    async with serving(health=OK, slots=slots(True)) as service:
        await check(prober, service, Kind.INFERENCE)
    assert (await check(prober, service, Kind.INFERENCE, 150.0)).code == "refused"
    async with serving(health=OK, slots=slots(True, task=2)) as service:
        assert (await check(prober, service, Kind.INFERENCE, 300.0)).state is State.BUSY


async def test_a_busy_model_is_never_tested(prober: Prober) -> None:
    async with serving(health=OK, slots=slots(True), metrics=metrics(1)) as service:
        for now in range(0, 100, 30):
            service.responses["/slots"] = slots(True, decoded=now)
            assert (await check(prober, service, Kind.INFERENCE, float(now))).state is State.BUSY
        assert set(service.paths) == {"/slots"}


async def test_a_busy_model_without_progress_is_stalled(prober: Prober) -> None:
    async with serving(health=OK, slots=slots(True, 3), metrics=metrics(9)) as service:
        states = [
            (await check(prober, service, Kind.INFERENCE, float(now))).state for now in (0, 60, 121)
        ]
    assert states == [State.BUSY, State.BUSY, State.STALLED]


async def test_a_hung_work_loop_is_found_behind_a_healthy_response(make_prober: MakeProber) -> None:
    prober = make_prober(1)
    async with serving(health=OK, slots=None, metrics=None) as service:
        found = [await check(prober, service, Kind.INFERENCE, float(now)) for now in (0, 121)]
    assert [verdict.state for verdict in found] == [State.BUSY, State.STALLED]


async def test_a_server_without_slots_is_judged_by_its_counters(prober: Prober) -> None:
    text = "llamacpp:requests_processing 1\nllamacpp:n_decode_total 7\n"
    async with serving(health=OK, slots=(501, {}), metrics=(200, text)) as service:
        found = [await check(prober, service, Kind.INFERENCE, float(now)) for now in (0, 60, 121)]
    assert [verdict.state for verdict in found] == [State.BUSY, State.BUSY, State.STALLED]


@pytest.mark.parametrize("number", ["four", "NaN"])
async def test_malformed_counters_do_not_break_the_check(prober: Prober, number: str) -> None:
    text = f"llamacpp:requests_processing {number}\nllamacpp:n_decode_total {number}\n"
    async with serving(health=OK, slots=(501, {}), metrics=(200, text)) as service:
        service.responses["/completion"] = (200, {"content": "a"})
        assert (await check(prober, service, Kind.INFERENCE)).state is State.OK


async def test_loading_a_model_is_not_a_failure_and_sends_no_more_requests(prober: Prober) -> None:
    async with serving(health=LOADING, slots=LOADING) as service:
        assert (await check(prober, service, Kind.INFERENCE)).state is State.LOADING
        assert service.paths == ["/slots", "/health"]


async def test_a_model_that_generates_no_text_gets_no_test_request(prober: Prober) -> None:
    async with serving(slots=slots(False), metrics=metrics(1)) as service:
        verdict = await check(prober, service, Kind.INFERENCE, generates=False)
        assert (verdict.state, verdict.reason) == (State.OK, "idle")
        assert "/completion" not in service.paths


async def test_a_model_that_sleeps_when_idle_is_left_asleep(prober: Prober) -> None:
    asleep = (200, {"is_sleeping": True})
    async with serving(health=OK, props=asleep, metrics=metrics(1)) as service:
        for now in (0, 1000, 2000):
            verdict = await check(prober, service, Kind.INFERENCE, now, sleeps=True)
            assert (verdict.state, verdict.reason) == (State.OK, "asleep until the next request")
        assert set(service.paths) == {"/health", "/props"}


async def test_a_model_that_may_sleep_is_kept_awake_by_no_check(prober: Prober) -> None:
    awake = (200, {"is_sleeping": False})
    async with serving(health=OK, props=awake, metrics=metrics(1)) as service:
        for now in (0, 1000):
            assert (await check(prober, service, Kind.INFERENCE, now, sleeps=True)).reason == "idle"
        assert not {"/slots", "/completion"} & set(service.paths), "they start its idle time"


async def test_a_model_that_wakes_has_the_time_of_a_start(make_prober: MakeProber) -> None:
    prober = make_prober(0.4)
    fields: dict[str, Any] = {"sleeps": True, "start_grace": 300}
    async with serving(health=OK, props=(200, {"is_sleeping": True})) as service:
        await check(prober, service, Kind.INFERENCE, 0, **fields)
        service.responses["/props"] = None
        waking = await check(prober, service, Kind.INFERENCE, 290, **fields)
        assert (waking.state, waking.reason) == (
            State.BUSY,
            "loads its model again for a request",
        )
        await check(prober, service, Kind.INFERENCE, 310, **fields)
        hung = await check(prober, service, Kind.INFERENCE, 500, **fields)
        assert hung.state is State.STALLED


async def test_a_busy_model_that_may_sleep_is_judged_by_its_counters(prober: Prober) -> None:
    busy = (200, "llamacpp:requests_processing 1\nllamacpp:n_decode_total 5\n")
    async with serving(health=OK, props=(200, {"is_sleeping": False}), metrics=busy) as service:
        first = await check(prober, service, Kind.INFERENCE, 0, sleeps=True)
        stalled = await check(prober, service, Kind.INFERENCE, 500, sleeps=True)
    assert (first.state, stalled.state) == (State.BUSY, State.STALLED)


async def test_a_port_that_accepts_connections_is_ok(prober: Prober) -> None:
    async with serving() as service:
        address = service.url.replace("http:", "tcp:")
        verdict = await check(prober, service, Kind.TCP, url=address)
        assert (verdict.state, verdict.code) == (State.OK, "ok")
    verdict = await check(prober, service, Kind.TCP, url=address)
    assert (verdict.state, verdict.code) == (State.DOWN, "refused")
