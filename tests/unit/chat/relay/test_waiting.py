"""The queue of a busy model: its limit, keep-alive bytes, and disconnects."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from aiohttp import web

from tests.doubles.model_server import HELLO, HeldResponses, ModelServer, ReceivedRequest, chunk
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**QUESTION, "stream": True}
DONE = b"data: [DONE]\n\n"


async def queue_length(client: httpx.AsyncClient, length: int) -> None:
    while (await client.get("/status")).json()["models"][0]["queue"] != length:
        pass


async def test_a_request_to_a_full_queue_is_refused_with_retry_after(server: ModelServer) -> None:
    server.behaviour = held = HeldResponses()
    configuration = settings(server.url, slots=1, limits={"queue": 1})
    async with running(configuration) as url, client_of(url) as client:
        first = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM))
        await server.wait_for(1)
        second = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM))
        await queue_length(client, 1)
        refused = await client.post("/v1/chat/completions", json=STREAM)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "queue_full"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert int(refused.headers["retry-after"]) >= 1
        held.released.set()
        assert (await first).content.endswith(b"".join(HELLO))
        assert (await second).content.endswith(b"".join(HELLO))


async def test_a_waiting_stream_gets_its_position_and_each_change(
    server: ModelServer,
) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    gates[2].set()

    async def one_by_one(received: ReceivedRequest) -> web.StreamResponse:
        await gates[len(server.received) - 1].wait()
        response = await received.stream()
        await response.write(b"".join(HELLO))
        return response

    server.behaviour = one_by_one
    configuration = settings(server.url, slots=1, keep_alive={"first_comment": 0.05})
    async with (
        running(configuration) as url,
        client_of(url) as client,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(client.post("/v1/chat/completions", json=STREAM))
        await server.wait_for(1)
        tasks.create_task(client.post("/v1/chat/completions", json=STREAM))
        await queue_length(client, 1)
        places = []
        async with client.stream("POST", "/v1/chat/completions", json=STREAM) as response:
            assert response.status_code == 200
            assert response.headers["x-queue-position"] == "2"
            async for line in response.aiter_lines():
                if line.startswith(": queue "):
                    places.append(json.loads(line.removeprefix(": queue "))["position"])
                    gates[len(places) - 1].set()
                if line.startswith("data:"):
                    break
        assert places == [2, 1]


@pytest.mark.parametrize("streams", [True, False])
async def test_a_request_whose_client_left_the_queue_is_not_sent_to_the_model(
    server: ModelServer, streams: bool
) -> None:
    server.behaviour = held = HeldResponses()
    async with running(settings(server.url, slots=1)) as url, client_of(url) as client:
        first = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM))
        await server.wait_for(1)
        body = {**QUESTION, "stream": streams}
        waiting = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await queue_length(client, 1)
        waiting.cancel()
        await queue_length(client, 0)
        held.released.set()
        assert (await first).content.endswith(DONE)
    assert len(server.received) == 1


@pytest.mark.parametrize("streams", [True, False])
async def test_a_disconnect_stops_the_generation(
    gateway: httpx.AsyncClient, server: ModelServer, streams: bool
) -> None:
    async def chatter(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        while True:
            await response.write(chunk({"content": "x"}))
            await asyncio.sleep(0.01)

    server.behaviour = chatter
    body = {**QUESTION, "stream": streams}
    running_request = asyncio.create_task(gateway.post("/v1/chat/completions", json=body))
    received = await server.wait_for(1)
    running_request.cancel()
    await asyncio.wait_for(received.abandoned.wait(), 5)
    while (await gateway.get("/status")).json()["models"][0]["busy"]:
        pass


async def test_a_disconnect_before_the_first_token_stops_the_generation(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    server.behaviour = HeldResponses()
    running_request = asyncio.create_task(gateway.post("/v1/chat/completions", json=STREAM))
    received = await server.wait_for(1)
    running_request.cancel()
    await asyncio.wait_for(received.abandoned.wait(), 5)


async def test_comments_between_events_keep_a_stream_alive(
    server: ModelServer,
) -> None:
    gate = asyncio.Event()

    async def think(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(HELLO[1] + HELLO[2][:9])
        await gate.wait()
        await response.write(HELLO[2][9:] + DONE)
        return response

    server.behaviour = think
    keep_alive = {"first_comment": 0.02, "interval": 0.02}
    async with (
        running(settings(server.url, keep_alive=keep_alive)) as url,
        client_of(url) as c,
        c.stream("POST", "/v1/chat/completions", json=STREAM) as response,
    ):
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            if received.count(b": keep-alive\n\n") >= 3:
                gate.set()
    assert received.replace(b": keep-alive\n\n", b"") == HELLO[1] + HELLO[2] + DONE


async def test_white_space_keeps_a_document_alive(server: ModelServer) -> None:
    server.behaviour = held = HeldResponses()
    keep_alive = {"first_space": 0.02, "interval": 0.02}
    async with (
        running(settings(server.url, keep_alive=keep_alive)) as url,
        client_of(url) as c,
        c.stream("POST", "/v1/chat/completions", json=QUESTION) as response,
    ):
        assert response.status_code == 200
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            if len(received) >= 3:
                held.released.set()
    assert received.startswith(b"   ")
    assert json.loads(received)["choices"][0]["message"]["content"] == "Hello"


async def test_an_error_after_white_space_is_an_error_document(server: ModelServer) -> None:
    opened = asyncio.Event()

    async def cut_late(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(HELLO[0])
        await opened.wait()
        received.cut()
        raise ConnectionResetError

    server.behaviour = cut_late
    keep_alive = {"first_space": 0.02, "interval": 0.02}
    async with (
        running(settings(server.url, keep_alive=keep_alive)) as url,
        client_of(url) as c,
        c.stream("POST", "/v1/chat/completions", json=QUESTION) as response,
    ):
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            opened.set()
    assert json.loads(received)["error"]["code"] == "upstream_lost"


async def test_an_error_after_the_first_comment_is_an_error_event(server: ModelServer) -> None:
    opened = asyncio.Event()

    async def cut_late(received: ReceivedRequest) -> web.StreamResponse:
        await opened.wait()
        received.cut()
        raise ConnectionResetError

    server.behaviour = cut_late
    keep_alive = {"first_comment": 0.02, "interval": 0.02}
    async with (
        running(settings(server.url, keep_alive=keep_alive)) as url,
        client_of(url) as c,
        c.stream("POST", "/v1/chat/completions", json=STREAM) as response,
    ):
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            opened.set()
    last = received.split(b"\n\n")[-2]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_unreachable"


async def test_too_long_a_wait_is_refused(server: ModelServer) -> None:
    server.behaviour = held = HeldResponses()
    configuration = settings(server.url, slots=1, limits={"queue_seconds": 0.1})
    async with running(configuration) as url, client_of(url) as client:
        first = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM))
        await server.wait_for(1)
        refused = await client.post("/v1/chat/completions", json=QUESTION)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "queue_timeout"
        held.released.set()
        await first


async def test_waiting_requests_get_an_error_when_the_last_replica_stops(
    server: ModelServer,
) -> None:
    server.behaviour = HeldResponses()
    async with running(settings(server.url, slots=1)) as url, client_of(url) as client:
        first = asyncio.create_task(client.post("/v1/chat/completions", json=QUESTION))
        await server.wait_for(1)
        second = asyncio.create_task(client.post("/v1/chat/completions", json=QUESTION))
        await queue_length(client, 1)
        await server.stop()
        assert (await first).status_code >= 500
        assert (await second).status_code >= 500
