"""Clients that disconnect in unusual states, and limits while a response goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from tests.doubles.model_server import HELLO, ModelServer, ReceivedRequest
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
# More than uvicorn reads before the application takes it.
LONG = {"model": "m", "messages": [{"role": "user", "content": "x" * 300_000}]}


async def first_event_only(received: ReceivedRequest) -> web.StreamResponse:
    response = await received.stream()
    await response.write(HELLO[0])
    await received.abandoned.wait()
    return response


def request(url: str, body: Mapping[str, object]) -> bytes:
    content = json.dumps({**body, "stream": True}).encode()
    host = urlsplit(url).netloc
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


@pytest.mark.parametrize("body", [QUESTION, LONG], ids=["short", "long"])
async def test_a_disconnect_is_noticed_while_nothing_is_written(
    server: ModelServer, body: Mapping[str, object]
) -> None:
    server.behaviour = first_event_only
    async with running(settings(server.url)) as url, client_of(url) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(request(url, body))
        await reader.readuntil(HELLO[0])
        writer.transport.abort()
        async with asyncio.timeout(5):
            await server.received[0].abandoned.wait()
            while 'outcome="client_gone"' not in (await client.get("/metrics")).text:
                pass
        [model] = (await client.get("/status")).json()["models"]
        assert model["busy"] == 0


async def test_a_connection_serves_the_next_request_after_each_response(
    server: ModelServer,
) -> None:
    async with running(settings(server.url)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(request(url, QUESTION) * 3)
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert b"[DONE]" in await reader.readuntil(b"0\r\n\r\n")
        writer.close()


@pytest.mark.parametrize("streams", [True, False])
async def test_a_response_may_take_longer_than_its_first_token(
    server: ModelServer, *, streams: bool
) -> None:
    async def slowly(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        for piece in HELLO:
            await response.write(piece)
            await asyncio.sleep(0.2)
        return response

    server.behaviour = slowly
    limits = {"first_token_seconds": 0.5, "silence_seconds": 5}
    async with running(settings(server.url, limits=limits)) as url, client_of(url) as client:
        body = {**QUESTION, "stream": streams}
        answer = await client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200
        assert b"error" not in answer.content
