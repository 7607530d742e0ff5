"""Host names that resolve to several model servers, and to other ones later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.chat.fleet import discovery
from app.chat.fleet.discovery import resolve
from tests.doubles.model_server import HELLO, HeldResponses, ModelServer, model_server
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**QUESTION, "stream": True}
OLD, NEW = "127.0.0.1", "127.0.0.2"


class Names:
    """A resolver for one name, with the IP addresses that a test sets."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def __call__(self, name: str, port: int) -> list[str]:
        assert name == "phi-inference"
        return self.addresses


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(discovery, "resolve", names)
    return names


@pytest.fixture
async def new(server: ModelServer) -> AsyncIterator[ModelServer]:
    """A second server on the same port at another IP address."""
    async with model_server(port_of(server), NEW) as one:
        yield one


@pytest.fixture
async def client(names: Names, server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway whose model server is configured by host name."""
    configured = settings(f"http://phi-inference:{port_of(server)}", slots=1)
    async with running(configured) as url, client_of(url) as one:
        yield one


def port_of(server: ModelServer) -> int:
    return urlsplit(server.url).port or 0


async def replicas(client: httpx.AsyncClient, field: str = "state") -> dict[str, object]:
    """A field of each replica's status, by name."""
    (model,) = (await client.get("/status")).json()["models"]
    return {replica["name"]: replica[field] for replica in model["replicas"]}


async def until(client: httpx.AsyncClient, wanted: dict[str, object]) -> None:
    async with asyncio.timeout(10):
        while await replicas(client) != wanted:
            pass


async def ask(client: httpx.AsyncClient) -> bytes:
    response = await client.post("/v1/chat/completions", json=STREAM)
    assert response.status_code == 200, response.text
    return response.content


async def test_each_ip_address_of_a_name_is_a_replica(
    names: Names, client: httpx.AsyncClient, server: ModelServer, new: ModelServer
) -> None:
    names.addresses = [OLD, NEW]
    await until(client, {"m-1": "ready", "m-2": "ready"})
    server.behaviour = new.behaviour = held = HeldResponses()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(ask(client))
        await server.wait_for(1)
        received = await new.wait_for(1)
        held.released.set()
    assert received.headers["host"] == f"phi-inference:{port_of(server)}"


async def test_a_new_address_gets_requests_only_once_it_is_ready(
    names: Names, client: httpx.AsyncClient, server: ModelServer, new: ModelServer
) -> None:
    names.addresses = [OLD]
    await until(client, {"m-1": "ready"})
    new.health = (503, {"error": {"message": "Loading model", "type": "unavailable_error"}})
    names.addresses = [OLD, NEW]
    await until(client, {"m-1": "ready", "m-2": "loading"})
    for _ in range(4):
        await ask(client)
    assert not new.received
    new.health = (200, {})
    await until(client, {"m-1": "ready", "m-2": "ready"})
    names.addresses = [NEW]
    await until(client, {"m-2": "ready"})
    await ask(client)
    assert len(new.received) == 1


async def test_a_removed_address_finishes_its_requests_and_gets_no_more(
    names: Names, client: httpx.AsyncClient, server: ModelServer, new: ModelServer
) -> None:
    names.addresses = [OLD]
    await until(client, {"m-1": "ready"})
    server.behaviour = held = HeldResponses()
    running_answer = asyncio.create_task(ask(client))
    await server.wait_for(1)
    names.addresses = [NEW]
    await until(client, {"m-1": "ready"})
    for _ in range(4):
        await ask(client)
    assert len(new.received) == 4
    held.released.set()
    assert await running_answer == b"".join(HELLO)
    assert len(server.received) == 1


async def test_a_model_is_down_while_its_name_does_not_resolve(
    names: Names, client: httpx.AsyncClient, server: ModelServer
) -> None:
    async def does_not_resolve() -> None:
        message = ""
        async with asyncio.timeout(10):
            while message != "m is down: its host name does not resolve":
                answer = await client.post("/v1/chat/completions", json=QUESTION)
                assert answer.status_code == 503
                message = answer.json()["error"]["message"]

    await until(client, {"m-1": "down"})
    await does_not_resolve()
    names.addresses = [OLD]
    await until(client, {"m-1": "ready"})
    assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200
    names.addresses = []
    await server.stop()
    await until(client, {"m-1": "down"})
    await does_not_resolve()


async def test_failed_lookups_do_not_remove_a_replica_that_is_ready(
    names: Names, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.addresses = [OLD]
    await until(client, {"m-1": "ready"})
    received = asyncio.Queue[None]()

    async def nothing(name: str, port: int) -> list[str]:
        received.put_nowait(None)
        return []

    monkeypatch.setattr(discovery, "resolve", nothing)
    while received.qsize() < 10:
        assert await replicas(client) == {"m-1": "ready"}


async def test_a_draining_replica_finishes_its_requests_and_gets_no_more(
    names: Names, server: ModelServer, new: ModelServer
) -> None:
    word = "ok"

    async def report(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f'HTTP/1.1 200 OK\r\n\r\n{{"status": "{word}"}}'.encode())
        writer.close()

    names.addresses = [OLD, NEW]
    status = await asyncio.start_server(report, OLD, 0)
    configured = settings(f"http://phi-inference:{port_of(server)}", slots=4)
    model = configured.models[0].model_copy(
        update={"status_port": status.sockets[0].getsockname()[1]}
    )
    async with (
        status,
        running(configured.model_copy(update={"models": (model,)})) as url,
        client_of(url) as client,
    ):
        await until(client, {"m-1": "ready", "m-2": "ready"})
        server.behaviour = held = HeldResponses()
        started = asyncio.create_task(ask(client))
        await server.wait_for(1)
        word = "draining"
        async with asyncio.timeout(10):
            while not (await replicas(client, "draining"))["m-1"]:
                pass
        for _ in range(4):
            await ask(client)
        assert len(new.received) == 4
        held.released.set()
        assert await started == b"".join(HELLO)
        word = "ok"
        async with asyncio.timeout(10):
            while (await replicas(client, "draining"))["m-1"]:
                pass


async def test_an_ip_address_or_localhost_is_not_resolved(
    names: Names, server: ModelServer
) -> None:
    for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
        async with running(settings(url)) as gateway, client_of(gateway) as client:
            await until(client, {"m-1": "ready"})
            assert await ask(client)


async def test_the_system_resolves_names() -> None:
    assert await resolve("localhost", 80) == ["127.0.0.1"]
    assert await resolve("no-such-name.invalid", 80) == []
    assert await resolve("x" * 70, 80) == []
