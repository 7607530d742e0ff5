"""The check of llama-server in router mode: models that swap are no failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from app.monitor.checks.http_client import HttpClient
from app.monitor.checks.prober import Prober
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Service, Thresholds
from tests.doubles.watched_service import WatchedService, serving

Response = tuple[int, object]
MakeProber = Callable[[float], Prober]


@pytest.fixture
async def make_prober() -> AsyncIterator[MakeProber]:
    http_client = HttpClient.create()
    thresholds = Thresholds(stall_after=120, canary_every=600)
    yield lambda timeout: Prober(http_client, thresholds, timeout)
    await http_client.close()


@pytest.fixture
def prober(make_prober: MakeProber) -> Prober:
    return make_prober(10)


def models(failed: str = "", **states: str) -> Response:
    data = [
        {"id": name, "status": {"value": state, **({"failed": True} if name == failed else {})}}
        for name, state in states.items()
    ]
    return (200, {"data": data})


def work(busy: int, tokens: int) -> Response:
    return (
        200,
        f"llamacpp:requests_processing {busy}\nllamacpp:tokens_predicted_total {tokens}\n",
    )


async def check(prober: Prober, service: WatchedService, now: float = 0.0) -> Verdict:
    data = {"name": "a", "kind": "inference", "url": service.url, "routes": True}
    return await prober.check(Service.model_validate({**data, "start_grace": 60}), now)


async def test_models_that_swap_are_healthy_and_get_no_test_request(prober: Prober) -> None:
    swaps = (
        models(a="loaded", b="unloaded", c="sleeping"),
        models(a="unloaded", b="loaded", c="unloaded"),
        models(a="unloaded", b="unloaded", c="unloaded"),
    )
    async with serving(metrics=work(0, 5)) as service:
        for now, listed in enumerate(swaps):
            service.responses["/v1/models"] = listed
            verdict = await check(prober, service, now * 1000)
            assert verdict.state is State.OK
            assert verdict.reason == f"{'110'[now]} of 3 models loaded"
        assert set(service.paths) == {"/v1/models", "/metrics"}, "others would load or wake a model"


async def test_only_a_loaded_model_is_asked(prober: Prober) -> None:
    listed = {"v1/models": models(a="sleeping", b="unloaded")}
    async with serving(**listed) as service:
        assert (await check(prober, service)).state is State.OK
        assert service.paths == ["/v1/models"]


async def test_a_load_is_busy_until_it_takes_longer_than_a_start(prober: Prober) -> None:
    async with serving(**{"v1/models": models(a="loading")}) as service:
        assert (await check(prober, service, 0)).reason == "loads a for a request"
        assert (await check(prober, service, 59)).state is State.BUSY
        hung = await check(prober, service, 61)
        assert (hung.state, hung.reason) == (State.STALLED, "has loaded a for 61 s")


async def test_a_loaded_model_without_progress_is_stalled(prober: Prober) -> None:
    listed = {"v1/models": models(a="loaded", b="loaded")}
    async with serving(**listed, metrics=work(1, 5)) as service:
        assert (await check(prober, service, 0)).state is State.BUSY
        stalled = await check(prober, service, 200)
        assert stalled.state is State.STALLED
        assert stalled.reason.startswith("a: ")


async def test_progress_counts_for_each_model(prober: Prober) -> None:
    async with serving(**{"v1/models": models(a="loaded")}, metrics=work(1, 5)) as service:
        await check(prober, service, 0)
        service.responses["/metrics"] = work(1, 9)
        assert (await check(prober, service, 200)).state is State.BUSY


async def test_a_work_loop_that_hangs_is_stalled(make_prober: MakeProber) -> None:
    prober = make_prober(0.2)
    async with serving(**{"v1/models": models(a="loaded")}, metrics=None) as service:
        assert (await check(prober, service, 0)).state is State.BUSY
        assert (await check(prober, service, 200)).state is State.STALLED


async def test_a_failed_load_is_reported_and_no_reason_for_a_restart(prober: Prober) -> None:
    async with serving(**{"v1/models": models("b", a="unloaded", b="unloaded")}) as service:
        verdict = await check(prober, service)
    assert (verdict.state, verdict.reason) == (State.DEGRADED, "the last load of b failed")


async def test_a_start_that_fetches_the_models_is_loading(prober: Prober) -> None:
    fetching = {"error": {"message": "fetching the model: 42 %", "type": "unavailable_error"}}
    async with serving(**{"v1/models": (503, fetching)}) as service:
        assert (await check(prober, service)).state is State.LOADING


async def test_another_server_in_its_place_is_down(prober: Prober) -> None:
    async with serving(**{"v1/models": (200, {"data": [{"id": "a"}]})}) as service:
        assert (await check(prober, service)).state is State.DOWN
