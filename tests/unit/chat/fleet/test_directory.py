"""Models that servers list: they come and go, and no server takes the name of another's model."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.chat.access.keys import new_key
from app.chat.settings import GatewaySettings, KeyFile, Secrets
from app.shared.json_log import JsonLines
from tests.doubles.model_server import (
    HELLO,
    HeldResponses,
    ModelServer,
    listing,
)
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

MESSAGES = [{"role": "user", "content": "Hi"}]


def served(name: str, *servers: ModelServer, **more: Any) -> dict[str, Any]:
    return {"name": name, "urls": [server.url for server in servers], **more}


async def models(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in (await client.get("/status")).json()["models"]}


async def until(client: httpx.AsyncClient, **states: str) -> None:
    """Wait until the gateway has exactly these models in these states."""
    async with asyncio.timeout(10):
        while {name: one["state"] for name, one in (await models(client)).items()} != states:
            pass


async def ask(client: httpx.AsyncClient, model: str) -> httpx.Response:
    body = {"model": model, "messages": MESSAGES, "stream": True}
    return await client.post("/v1/chat/completions", json=body)


async def test_models_appear_and_vanish_without_a_restart(server: ModelServer) -> None:
    server.listing = (200, listing("a"))
    configured = settings(servers=[served("vllm", server, description="vLLM")])
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready")
        assert (await models(client))["a"]["description"] == "vLLM"
        response = await ask(client, "a")
        assert response.content == b"".join(HELLO)
        server.listing = (200, listing("a", "b"))
        await until(client, a="ready", b="ready")
        assert (await ask(client, "b")).status_code == 200
        server.listing = (200, listing("b"))
        await until(client, b="ready")
        gone = await ask(client, "a")
        assert gone.status_code == 404
        assert gone.json()["error"]["message"].endswith("available: b")
    assert [received.path for received in server.received] == ["/v1/chat/completions"] * 2


async def test_a_running_request_survives_the_end_of_its_model_and_a_waiting_one_does_not(
    server: ModelServer,
) -> None:
    server.listing = (200, listing("a"))
    server.behaviour = held = HeldResponses()
    configured = settings(servers=[served("vllm", server, concurrency=1)])
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready")
        started = asyncio.create_task(ask(client, "a"))
        await server.wait_for(1)
        waiting = asyncio.create_task(ask(client, "a"))
        while (await models(client))["a"]["queue"] != 1:
            pass
        server.listing = (200, listing())
        await until(client)
        refused = await waiting
        assert "its server no longer offers it" in refused.text
        held.released.set()
        assert (await started).content == b"".join(HELLO)
        server.listing = (200, listing("a"))
        await until(client, a="ready")
        assert (await ask(client, "a")).content == b"".join(HELLO), "its slot is free again"


def keeping(server: ModelServer, seconds: float) -> GatewaySettings:
    """Settings of a gateway that keeps the models of a server that is down for so long."""
    return settings(servers=[served("vllm", server)], health={"keep_models": seconds})


async def test_a_server_that_is_down_keeps_its_models_for_a_while(server: ModelServer) -> None:
    server.listing = (200, listing("a"))
    async with (
        running(keeping(server, 600)) as keeps,
        client_of(keeps) as client,
        running(keeping(server, 0.1)) as forgets,
        client_of(forgets) as other,
    ):
        for one in (client, other):
            await until(one, a="ready")
        port = int(server.url.rpartition(":")[2])
        await server.stop()
        await until(client, a="down")
        refused = await ask(client, "a")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "model_down"
        await until(other)
        assert (await ask(other, "a")).status_code == 404
        await server.start(port)
        for one in (client, other):
            await until(one, a="ready")


async def test_a_server_that_loads_keeps_its_models(server: ModelServer) -> None:
    server.listing = (200, listing("a"))
    async with running(settings(servers=[served("x", server)])) as url, client_of(url) as client:
        await until(client, a="ready")
        loading = (
            b'{"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}'
        )
        server.listing = (503, loading)
        await until(client, a="loading")
        assert (await ask(client, "a")).json()["error"]["code"] == "model_loading"


async def test_a_name_belongs_to_the_first_server_that_lists_it_and_a_clash_is_logged_once(
    server: ModelServer, other: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    other.listing = (200, listing("a", "b"))
    configured = settings(servers=[served("one", server), served("two", other)])
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready", b="ready")
        await ask(client, "a")
        assert len(other.received) == 1, "until the first server lists it, the second has it"
        server.listing = (200, listing("a"))
        async with asyncio.timeout(10):
            while (await client.get("/v1/models/a")).json()["owned_by"] != "one":
                pass
        checks = len(server.list_requests)
        while len(server.list_requests) < checks + 3:
            await client.get("/health")
        await ask(client, "a")
        assert len(server.received) == 1
    (clash,) = [record for record in caplog.records if "two servers" in record.getMessage()]
    assert "two servers offer a model of this name" in clash.getMessage()


@pytest.mark.parametrize("configured", [True, False], ids=["of the stack", "of a server"])
async def test_a_list_does_not_take_a_configured_name(
    server: ModelServer, other: ModelServer, configured: bool
) -> None:
    other.listing = (200, listing("m", "n"))
    hostile = served("hostile", other)
    if configured:
        gateway = settings(server.url, servers=[hostile])
    else:
        mine = served("mine", server, models=["m"], health="/health")
        gateway = settings(servers=[hostile, mine])
    async with running(gateway) as url, client_of(url) as client:
        await until(client, m="ready", n="ready")
        assert (await ask(client, "m")).status_code == 200
    assert len(server.received) == 1
    assert not other.received


async def test_a_list_of_an_external_server_does_not_take_a_local_name(
    server: ModelServer, other: ModelServer
) -> None:
    server.listing = (200, listing("a"))
    other.listing = (200, listing("a", "b"))
    configured = settings(servers=[served("far", other, external=True), served("near", server)])
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready", b="ready")
        assert not (await models(client))["a"]["external"]
        await ask(client, "a")
    assert len(server.received) == 1
    assert not other.received


async def test_servers_with_the_same_configured_model_are_its_replicas(
    server: ModelServer, other: ModelServer
) -> None:
    server.behaviour = other.behaviour = held = HeldResponses()
    servers = [
        served(name, one, models=["a"], concurrency=1, health="/health")
        for name, one in (("one", server), ("two", other))
    ]
    async with running(settings(servers=servers)) as url, client_of(url) as client:
        await until(client, a="ready")
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(ask(client, "a")) for _ in range(2)]
            await server.wait_for(1)
            await other.wait_for(1)
            held.released.set()
        assert all(answer.result().content == b"".join(HELLO) for answer in answers)


@pytest.mark.parametrize("difference", [{"external": True}, {"tasks": ["embedding"]}], ids=str)
async def test_a_server_of_another_nature_is_no_replica(
    server: ModelServer, other: ModelServer, difference: dict[str, Any]
) -> None:
    servers = [
        served("one", server, models=["a"], health="/health"),
        served("two", other, models=["a"], health="/health", **difference),
    ]
    async with running(settings(servers=servers)) as url, client_of(url) as client:
        await until(client, a="ready")
        assert len((await models(client))["a"]["replicas"]) == 1
        for _ in range(4):
            assert (await ask(client, "a")).status_code == 200
    assert len(server.received) == 4
    assert not other.received


async def test_the_models_of_a_server_share_its_slots(server: ModelServer) -> None:
    server.listing = (200, listing("a", "b"))
    server.behaviour = held = HeldResponses()
    configured = settings(servers=[served("ollama", server, concurrency=1)])
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready", b="ready")
        first = asyncio.create_task(ask(client, "a"))
        await server.wait_for(1)
        second = asyncio.create_task(ask(client, "b"))
        while (await models(client))["b"]["queue"] != 1:
            pass
        third = asyncio.create_task(ask(client, "a"))
        while (await models(client))["a"]["queue"] != 1:
            pass
        state = (await models(client))["b"]
        assert (state["slots"], state["busy"]) == (1, 1)
        assert len(server.received) == 1
        held.released.set()
        for answer in (first, second, third):
            assert (await answer).status_code == 200
        assert [received.body["model"] for received in server.received] == ["a", "b", "a"]


async def test_each_url_is_a_replica_of_the_models_that_it_lists(
    server: ModelServer, other: ModelServer
) -> None:
    server.listing = (200, listing("a", "b"))
    other.listing = (200, listing("a"))
    configured = settings(servers=[served("pair", server, other)])
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready", b="ready")
        async with asyncio.timeout(10):
            while len((await models(client))["a"]["replicas"]) != 2:
                pass
        assert len((await models(client))["b"]["replicas"]) == 1
        for _ in range(4):
            assert (await ask(client, "b")).status_code == 200
    assert len(server.received) == 4


Damage = Callable[[ModelServer], None]


def huge(server: ModelServer) -> None:
    server.listing = (200, b'{"data": [' + b'{"id": "a"},' * 200_000)


def deep(server: ModelServer) -> None:
    server.listing = (200, b"[" * 500_000)


def wrong(server: ModelServer) -> None:
    server.listing = (200, b'{"data": {"id": {"id": 1}}}')


def slow(server: ModelServer) -> None:
    server.hang_listing = True


def redirecting(server: ModelServer) -> None:
    server.listing = (302, b"")


@pytest.mark.parametrize("damage", [huge, deep, wrong, slow, redirecting])
async def test_a_damaged_list_harms_only_its_own_server(
    server: ModelServer, other: ModelServer, damage: Damage
) -> None:
    server.listing = (200, listing("a"))
    other.listing = (200, listing("b"))
    configured = settings(
        servers=[served("bad", server), served("good", other)], health={"timeout": 0.3}
    )
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready", b="ready")
        damage(server)
        await until(client, a="down", b="ready")
        assert (await models(client))["a"]["reason"]
        assert (await ask(client, "b")).status_code == 200
        server.hang_listing = False
        server.listing = (200, listing("a"))
        await until(client, a="ready", b="ready")


async def test_ten_thousand_models_are_cut_and_logged_once(
    server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.listing = (200, listing(*(f"m{number}" for number in range(10_000))))
    async with running(settings(servers=[served("x", server)])) as url, client_of(url) as client:
        while len(await models(client)) != 256:
            pass
        while len(server.list_requests) < 3:
            await client.get("/health")
        unknown = await ask(client, "m9999")
        assert unknown.status_code == 404
        assert len(unknown.text) < 1000, "the error does not list all models"
    assert len([one for one in caplog.records if "ignored" in one.getMessage()]) == 1


async def test_the_health_check_is_the_path_or_the_list_of_models(
    server: ModelServer, other: ModelServer
) -> None:
    other.listing = (500, b"")
    servers = [
        served("by-path", server, models=["a"], health="/health"),
        served("by-list", other, models=["b"]),
    ]
    async with running(settings(servers=servers)) as url, client_of(url) as client:
        await until(client, a="ready", b="down")
        assert "status 500" in (await models(client))["b"]["reason"]
        other.listing = (200, listing())
        await until(client, a="ready", b="ready")
        assert not server.list_requests
        assert not other.health_requests


async def test_a_server_that_never_listed_its_models_is_logged_with_the_reason(
    server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.listing = (404, b"")
    async with running(settings(servers=[served("x", server)])) as url, client_of(url) as client:
        while len(server.list_requests) < 4:
            await client.get("/health")
        server.listing = (200, listing("a"))
        await until(client, a="ready")
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [
        (line["level"], line["message"], line.get("reason")) for line in lines if "server" in line
    ] == [
        ("warning", "a server is down", "its health check returned status 404"),
        ("info", "a server is ready", None),
    ]


async def test_a_server_with_a_path_is_asked_for_its_models_once_it_is_healthy(
    server: ModelServer,
) -> None:
    server.health = (503, {})
    server.listing = (200, listing("a"))
    configured = settings(servers=[served("vllm", server, health="/health")])
    async with running(configured) as url, client_of(url) as client:
        while len(server.health_requests) < 3:
            await client.get("/health")
        assert not server.list_requests
        server.health = (200, {})
        await until(client, a="ready")


async def test_a_key_sees_and_uses_its_own_models_only(server: ModelServer) -> None:
    server.listing = (200, listing("a", "b"))
    key, record = new_key("alice")
    limited = record.model_copy(update={"models": ("a",)})
    secrets = Secrets(api_keys=KeyFile(keys=(limited,)))
    async with (
        running(settings(servers=[served("x", server)]), secrets) as url,
        client_of(url, authorization=f"Bearer {key}") as client,
    ):
        await until(client, a="ready")
        assert (await ask(client, "b")).status_code == 403


@pytest.mark.parametrize(("path", "called"), [("/openai/v2/", "/openai/v2"), ("/", "")])
async def test_the_api_can_have_another_path(server: ModelServer, path: str, called: str) -> None:
    configured = settings(servers=[served("x", server, path=path, models=["a"], health="/health")])
    async with running(configured) as url, client_of(url) as client:
        await until(client, a="ready")
        assert (await ask(client, "a")).status_code == 200
    assert server.received[0].path == f"{called}/chat/completions"
