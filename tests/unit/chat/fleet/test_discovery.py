"""Names that lead to several model servers, and to other ones after a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.chat.fleet import discovery
from app.chat.fleet.discovery import resolve
from tests.doubles.model_server import HELLO, ModelServer, model_server
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of
from tests.unit.chat.relay.test_waiting import Gate

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**QUESTION, "stream": True}
OLD, NEW = "127.0.0.1", "127.0.0.2"


class Names:
    """A resolver that knows one name, and what a test lets it stand for."""

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
    """A second server on the same port, at another address."""
    async with model_server(port_of(server), NEW) as one:
        yield one


@pytest.fixture
async def client(names: Names, server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that knows its model server by name only."""
    configured = settings(f"http://phi-inference:{port_of(server)}", slots=1)
    async with running(configured) as url, client_of(url) as one:
        yield one


def port_of(server: ModelServer) -> int:
    return urlsplit(server.url).port or 0


async def replicas(client: httpx.AsyncClient, field: str = "state") -> dict[str, object]:
    """What the status tells of each replica, by name."""
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


async def test_every_address_of_a_name_is_a_replica_of_its_own(
    names: Names, client: httpx.AsyncClient, server: ModelServer, new: ModelServer
) -> None:
    names.addresses = [OLD, NEW]
    await until(client, {"m-1": "ready", "m-2": "ready"})
    server.behaviour = new.behaviour = gate = Gate()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(ask(client))
        await server.wait_for(1)
        asked = await new.wait_for(1)
        gate.opened.set()
    assert asked.headers["host"] == f"phi-inference:{port_of(server)}"


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
    assert not new.asked
    new.health = (200, {})
    await until(client, {"m-1": "ready", "m-2": "ready"})
    names.addresses = [NEW]
    await until(client, {"m-2": "ready"})
    await ask(client)
    assert len(new.asked) == 1


async def test_a_vanished_address_ends_what_it_began_and_gets_nothing_more(
    names: Names, client: httpx.AsyncClient, server: ModelServer, new: ModelServer
) -> None:
    names.addresses = [OLD]
    await until(client, {"m-1": "ready"})
    server.behaviour = gate = Gate()
    running_answer = asyncio.create_task(ask(client))
    await server.wait_for(1)
    names.addresses = [NEW]
    await until(client, {"m-1": "ready"})
    for _ in range(4):
        await ask(client)
    assert len(new.asked) == 4
    gate.opened.set()
    assert await running_answer == b"".join(HELLO)
    assert len(server.asked) == 1


async def test_a_name_that_nobody_knows_is_a_model_that_is_down_until_it_is_known_again(
    names: Names, client: httpx.AsyncClient, server: ModelServer
) -> None:
    async def is_not_known() -> None:
        told = ""
        async with asyncio.timeout(10):
            while told != "m is down: its name is not known on the network":
                answer = await client.post("/v1/chat/completions", json=QUESTION)
                assert answer.status_code == 503
                told = answer.json()["error"]["message"]

    await until(client, {"m-1": "down"})
    await is_not_known()
    names.addresses = [OLD]
    await until(client, {"m-1": "ready"})
    assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200
    names.addresses = []
    await server.stop()
    await until(client, {"m-1": "down"})
    await is_not_known()


async def test_a_silent_resolver_speaks_against_no_server_that_answers(
    names: Names, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.addresses = [OLD]
    await until(client, {"m-1": "ready"})
    asked = asyncio.Queue[None]()

    async def nothing(name: str, port: int) -> list[str]:
        asked.put_nowait(None)
        return []

    monkeypatch.setattr(discovery, "resolve", nothing)
    while asked.qsize() < 10:
        assert await replicas(client) == {"m-1": "ready"}


async def test_a_replica_that_drains_keeps_what_it_has_and_gets_no_more(
    names: Names, server: ModelServer, new: ModelServer
) -> None:
    word = "ok"

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f'HTTP/1.1 200 OK\r\n\r\n{{"status": "{word}"}}'.encode())
        writer.close()

    names.addresses = [OLD, NEW]
    status = await asyncio.start_server(tell, OLD, 0)
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
        server.behaviour = gate = Gate()
        started = asyncio.create_task(ask(client))
        await server.wait_for(1)
        word = "draining"
        async with asyncio.timeout(10):
            while not (await replicas(client, "draining"))["m-1"]:
                pass
        for _ in range(4):
            await ask(client)
        assert len(new.asked) == 4
        gate.opened.set()
        assert await started == b"".join(HELLO)
        word = "ok"
        async with asyncio.timeout(10):
            while (await replicas(client, "draining"))["m-1"]:
                pass


async def test_an_address_needs_no_resolver(names: Names, server: ModelServer) -> None:
    for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
        async with running(settings(url)) as gateway, client_of(gateway) as client:
            await until(client, {"m-1": "ready"})
            assert await ask(client)


async def test_the_system_resolves_names() -> None:
    assert await resolve("localhost", 80) == ["127.0.0.1"]
    assert await resolve("no-such-name.invalid", 80) == []
    assert await resolve("x" * 70, 80) == []
