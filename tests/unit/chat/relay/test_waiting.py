"""The line in front of a busy model: its bound, its signs of life, and those who leave it."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from aiohttp import web

from tests.doubles.model_server import HELLO, Asked, ModelServer, chunk
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**QUESTION, "stream": True}
DONE = b"data: [DONE]\n\n"


class Gate:
    """Model servers that hold every answer until the test opens the gate."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        await self.opened.wait()
        response = await asked.stream()
        for piece in HELLO:
            await response.write(piece)
        return response


async def queue_length(client: httpx.AsyncClient, length: int) -> None:
    while (await client.get("/status")).json()["models"][0]["queue"] != length:
        pass


async def test_a_full_line_is_refused_with_the_time_to_come_back(server: ModelServer) -> None:
    server.behaviour = gate = Gate()
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
        gate.opened.set()
        assert (await first).content.endswith(b"".join(HELLO))
        assert (await second).content.endswith(b"".join(HELLO))


async def test_a_waiting_stream_learns_its_place_and_each_change_of_it(
    server: ModelServer,
) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    gates[2].set()

    async def one_by_one(asked: Asked) -> web.StreamResponse:
        await gates[len(server.asked) - 1].wait()
        response = await asked.stream()
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
async def test_a_client_that_leaves_the_line_is_never_sent_to_the_model(
    server: ModelServer, streams: bool
) -> None:
    server.behaviour = gate = Gate()
    async with running(settings(server.url, slots=1)) as url, client_of(url) as client:
        first = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM))
        await server.wait_for(1)
        body = {**QUESTION, "stream": streams}
        waiting = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await queue_length(client, 1)
        waiting.cancel()
        await queue_length(client, 0)
        gate.opened.set()
        assert (await first).content.endswith(DONE)
    assert len(server.asked) == 1


@pytest.mark.parametrize("streams", [True, False])
async def test_a_client_that_leaves_while_the_model_works_ends_the_models_work(
    gateway: httpx.AsyncClient, server: ModelServer, streams: bool
) -> None:
    async def chatter(asked: Asked) -> web.StreamResponse:
        response = await asked.stream()
        while True:
            await response.write(chunk({"content": "x"}))
            await asyncio.sleep(0.01)

    server.behaviour = chatter
    body = {**QUESTION, "stream": streams}
    running_request = asyncio.create_task(gateway.post("/v1/chat/completions", json=body))
    asked = await server.wait_for(1)
    running_request.cancel()
    await asyncio.wait_for(asked.abandoned.wait(), 5)
    while (await gateway.get("/status")).json()["models"][0]["busy"]:
        pass


async def test_a_client_that_leaves_before_the_first_token_ends_the_models_work(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    server.behaviour = Gate()
    running_request = asyncio.create_task(gateway.post("/v1/chat/completions", json=STREAM))
    asked = await server.wait_for(1)
    running_request.cancel()
    await asyncio.wait_for(asked.abandoned.wait(), 5)


async def test_a_long_prompt_is_bridged_by_comments_between_whole_events(
    server: ModelServer,
) -> None:
    gate = asyncio.Event()

    async def think(asked: Asked) -> web.StreamResponse:
        response = await asked.stream()
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


async def test_a_long_whole_answer_is_bridged_by_white_space(server: ModelServer) -> None:
    server.behaviour = gate = Gate()
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
                gate.opened.set()
    assert received.startswith(b"   ")
    assert json.loads(received)["choices"][0]["message"]["content"] == "Hello"


async def test_a_failure_after_white_space_is_an_error_document(server: ModelServer) -> None:
    opened = asyncio.Event()

    async def break_off(asked: Asked) -> web.StreamResponse:
        response = await asked.stream()
        await response.write(HELLO[0])
        await opened.wait()
        asked.cut()
        raise ConnectionResetError

    server.behaviour = break_off
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


async def test_a_failure_after_the_first_comment_is_an_error_event(server: ModelServer) -> None:
    opened = asyncio.Event()

    async def break_off(asked: Asked) -> web.StreamResponse:
        await opened.wait()
        asked.cut()
        raise ConnectionResetError

    server.behaviour = break_off
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


async def test_waiting_too_long_is_refused(server: ModelServer) -> None:
    server.behaviour = gate = Gate()
    configuration = settings(server.url, slots=1, limits={"queue_seconds": 0.1})
    async with running(configuration) as url, client_of(url) as client:
        first = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM))
        await server.wait_for(1)
        refused = await client.post("/v1/chat/completions", json=QUESTION)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "queue_timeout"
        gate.opened.set()
        await first


async def test_those_who_wait_are_told_when_the_last_replica_dies(server: ModelServer) -> None:
    server.behaviour = Gate()
    async with running(settings(server.url, slots=1)) as url, client_of(url) as client:
        first = asyncio.create_task(client.post("/v1/chat/completions", json=QUESTION))
        await server.wait_for(1)
        second = asyncio.create_task(client.post("/v1/chat/completions", json=QUESTION))
        await queue_length(client, 1)
        await server.stop()
        assert (await first).status_code >= 500
        assert (await second).status_code >= 500
