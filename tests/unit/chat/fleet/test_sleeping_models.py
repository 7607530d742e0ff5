"""Models that are not in memory: a llama-server that sleeps, and one in router mode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from app.chat.fleet.circuit_breaker import CircuitBreaker
from app.chat.fleet.pool import ModelCard, ModelPool, Ticket
from app.chat.fleet.replica import Replica
from app.chat.fleet.server import LONGEST_TURN, Health, Server, State
from app.chat.settings import Breaker, GatewaySettings
from tests.doubles.model_server import (
    HELLO,
    HeldResponses,
    ModelServer,
    ReceivedRequest,
    refuse,
    router_listing,
    say_hello,
)
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

LOADING = ': loading {"model": "m"}'


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


def sleeping(url: str, **more: Any) -> GatewaySettings:
    """A gateway with one model `m`, which may sleep."""
    base = settings(url, keep_alive={"first_comment": 0.05}, **more)
    return base.model_copy(update={"models": (base.models[0].model_copy(update={"sleeps": True}),)})


def routing(url: str, *models: str, max_loaded: int = 1, slots: int = 1) -> GatewaySettings:
    """A gateway with one router."""
    router = {
        "name": "router",
        "urls": [url],
        "max_loaded": max_loaded,
        "models": [{"id": model, "slots": slots} for model in models],
    }
    return settings(routers=[router], keep_alive={"first_comment": 0.05})


async def states(client: httpx.AsyncClient) -> dict[str, str]:
    models = (await client.get("/status")).json()["models"]
    return {model["id"]: model["state"] for model in models}


async def until(client: httpx.AsyncClient, **wanted: str) -> None:
    async with asyncio.timeout(10):
        while not wanted.items() <= (await states(client)).items():
            pass


@pytest.fixture
async def asleep(server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    server.props = {"is_sleeping": True}
    async with running(sleeping(server.url)) as url, client_of(url) as client:
        await until(client, m="asleep")
        yield client


async def test_a_sleeping_model_is_available_and_no_check_wakes_it(
    asleep: httpx.AsyncClient, server: ModelServer
) -> None:
    ready = await asleep.get("/ready")
    assert (ready.status_code, ready.json()["models_ready"]) == (200, 1)
    listed = (await asleep.get("/v1/models")).json()["data"][0]
    assert listed["state"] == "asleep"
    assert "next request" in listed["reason"]
    assert set(server.paths) == {"/health", "/props"}, "only these leave it asleep"
    metrics = (await asleep.get("/metrics")).text
    assert 'gateway_replica_ready{model="m",replica="m-1"} 1.0' in metrics
    assert 'gateway_replica_loaded{model="m",replica="m-1"} 0.0' in metrics


async def test_a_request_to_a_sleeping_model_waits_with_comments_until_it_is_loaded(
    asleep: httpx.AsyncClient, server: ModelServer
) -> None:
    server.behaviour = held = HeldResponses()
    lines = []
    async with asleep.stream("POST", "/v1/chat/completions", json=chat("m", stream=True)) as answer:
        async for line in answer.aiter_lines():
            lines.append(line)
            if line == LOADING:
                # While it loads its model, llama-server answers /health only.
                server.hang_props = True
                assert (await states(asleep))["m"] == "loading"
                server.props, server.hang_props = {"is_sleeping": False}, False
                held.released.set()
    assert lines[0] == LOADING
    assert lines[-2] == "data: [DONE]"
    await until(asleep, m="ready")


async def test_an_answer_that_is_no_stream_waits_for_a_load_too(
    asleep: httpx.AsyncClient, server: ModelServer
) -> None:
    answer = await asleep.post("/v1/chat/completions", json=chat("m"))
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"


async def test_a_model_that_loads_has_more_time_to_its_first_token(server: ModelServer) -> None:
    server.props = {"is_sleeping": True}
    limits = {"first_token_seconds": 0.1, "load_seconds": 20, "attempts": 1}
    async with running(sleeping(server.url, limits=limits)) as url, client_of(url) as client:
        await until(client, m="asleep")

        async def late(received: ReceivedRequest) -> web.StreamResponse:
            await asyncio.wait((asyncio.create_task(received.abandoned.wait()),), timeout=0.5)
            return await say_hello(received)

        server.behaviour = late
        answer = await client.post("/v1/chat/completions", json=chat("m", stream=True))
        assert answer.content.endswith(b"".join(HELLO))


async def test_a_server_that_answers_its_health_check_alone_is_loading(
    server: ModelServer,
) -> None:
    server.hang_props = True
    configuration = sleeping(server.url, health={"timeout": 0.1})
    async with running(configuration) as url, client_of(url) as client:
        async with asyncio.timeout(10):
            while (await client.get("/ready")).status_code != 200:
                pass
        assert await states(client) == {"m": "loading"}, "and requests wait for it"


async def test_auto_prefers_a_loaded_model(server: ModelServer, other: ModelServer) -> None:
    server.props = {"is_sleeping": True}
    model = {"slots": 1, "sleeps": True}
    models = [
        {"id": "sleepy", "replicas": [server.url], **model},
        {"id": "awake", "replicas": [other.url], **model},
    ]
    async with (
        running(settings().model_validate({**settings().model_dump(), "models": models})) as url,
        client_of(url) as client,
    ):
        await until(client, sleepy="asleep", awake="ready")
        answer = await client.post("/v1/chat/completions", json=chat("auto"))
        assert answer.headers["x-routed-model"] == "awake"


async def test_each_model_of_a_router_has_its_own_state(server: ModelServer) -> None:
    server.listing = (
        200,
        router_listing(a="loaded", b="unloaded", c="sleeping", d="loading"),
    )
    async with (
        running(routing(server.url, "a", "b", "c", "d", slots=2)) as url,
        client_of(url) as client,
    ):
        await until(client, a="ready", b="asleep", c="asleep", d="loading")
        models = (await client.get("/status")).json()["models"]
        assert {model["slots"] for model in models} == {2}
        ready = (await client.get("/ready")).json()
        assert ready == {"ready": True, "models_ready": 4}


async def test_a_model_whose_load_failed_is_tried_again_by_the_next_request(
    server: ModelServer,
) -> None:
    status = {"value": "unloaded", "failed": True, "exit_code": 1}
    server.listing = (200, json.dumps({"data": [{"id": "a", "status": status}]}).encode())
    async with running(routing(server.url, "a")) as url, client_of(url) as client:
        await until(client, a="asleep")
        described = (await client.get("/v1/models/a")).json()
        assert "its last load failed (exit code 1)" in described["reason"]
        assert (await client.post("/v1/chat/completions", json=chat("a"))).status_code == 200


async def test_a_router_gets_requests_for_as_many_models_as_it_holds(
    server: ModelServer,
) -> None:
    server.listing = (200, router_listing(a="loaded", b="unloaded"))
    server.behaviour = held = HeldResponses()
    async with (
        running(routing(server.url, "a", "b", slots=2)) as url,
        client_of(url) as client,
        asyncio.TaskGroup() as tasks,
    ):
        await until(client, a="ready")
        first = tasks.create_task(client.post("/v1/chat/completions", json=chat("a")))
        await server.wait_for(1)
        second = tasks.create_task(client.post("/v1/chat/completions", json=chat("b")))
        async with asyncio.timeout(10):
            while (await client.get("/status")).json()["models"][1]["queue"] != 1:
                pass
        third = tasks.create_task(client.post("/v1/chat/completions", json=chat("a")))
        await server.wait_for(2)
        assert [one.body["model"] for one in server.received] == ["a", "a"]
        held.released.set()
        assert (await server.wait_for(3)).body["model"] == "b"
        for task in (first, second, third):
            assert (await task).status_code == 200


async def test_a_client_gets_the_reason_of_a_failed_load(server: ModelServer) -> None:
    server.listing = (200, router_listing(a="unloaded"))
    server.behaviour = refuse(500, {"message": "model name=a failed to load", "code": 500})
    async with running(routing(server.url, "a")) as url, client_of(url) as client:
        await until(client, a="asleep")
        for _ in range(3):
            answer = await client.post("/v1/chat/completions", json=chat("a"))
            assert answer.status_code == 502
            assert answer.json()["error"]["message"] == "the model server could not load the model"
        described = (await client.get("/v1/models/a")).json()
        assert described["state"] == "down"
        assert described["reason"].startswith("failed repeatedly"), "it is not loaded all the time"


class Places:
    """A router with one place, of which the clock is the test's."""

    def __init__(self, *models: str, max_loaded: int = 1) -> None:
        self.now = 100.0
        self.server = Server("http://x/v1", "http://x/v1/models", slots=8, most_loaded=max_loaded)
        self.server.health = Health(State.READY)
        self.pools = {model: self._pool(model) for model in models}

    def _pool(self, model: str) -> ModelPool:
        breaker = CircuitBreaker(Breaker(), self.clock)
        replica = Replica(model, f"{model}-1", self.server, breaker, own_slots=2)
        card = ModelCard(model, "", None, None, external=False)
        return ModelPool(card, [replica], 8, self.clock)

    def clock(self) -> float:
        return self.now

    def ask(self, model: str) -> Ticket:
        return self.pools[model].enter(())


async def test_a_model_in_use_keeps_its_place_for_a_while_only() -> None:
    places = Places("a", "b")
    first, other = places.ask("a"), places.ask("b")
    assert first.replica
    assert not other.replica
    second = places.ask("a")
    assert second.replica, "a change for each request would cost a load each"
    second.leave()
    places.now += LONGEST_TURN + 1
    third = places.ask("a")
    assert not third.replica
    first.leave()
    assert other.replica
    assert not third.replica
    other.leave()
    assert third.replica


async def test_a_request_that_leaves_the_queue_gives_its_turn_back() -> None:
    places = Places("a", "b")
    first, other = places.ask("a"), places.ask("b")
    places.now += LONGEST_TURN + 1
    second = places.ask("a")
    assert not second.replica
    other.leave()
    assert second.replica
    first.leave()
    second.leave()
    assert not places.server.active


async def test_a_router_with_two_places_works_on_two_models() -> None:
    places = Places("a", "b", "c", max_loaded=2)
    tickets = [places.ask(model) for model in ("a", "b", "c", "a")]
    assert [ticket.replica is not None for ticket in tickets] == [True, True, False, True]


async def test_a_loaded_replica_comes_before_a_sleeping_one() -> None:
    clock = Places("m").clock
    servers = [Server(f"http://{name}/v1", None, slots=1) for name in "xy"]
    servers[0].health, servers[1].health = Health(State.ASLEEP), Health(State.READY)
    replicas = [
        Replica("m", f"m-{number}", server, CircuitBreaker(Breaker(), clock))
        for number, server in enumerate(servers)
    ]
    pool = ModelPool(ModelCard("m", "", None, None, external=False), replicas, 8, clock)
    assert pool.health.state is State.READY
    chosen = [pool.enter(()).replica for _ in replicas]
    assert chosen == [replicas[1], replicas[0]], "the second request wakes the other one"


async def test_a_list_in_another_form_makes_the_router_down(server: ModelServer) -> None:
    server.listing = (200, b'{"data": [{"id": "a"}]}')
    async with running(routing(server.url, "a")) as url, client_of(url) as client:
        await until(client, a="down")
        assert "form" in (await client.get("/v1/models/a")).json()["reason"]
