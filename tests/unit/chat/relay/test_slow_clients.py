"""Clients that read slowly or not at all: they cost nobody else a replica or a slot."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import httpx
from aiohttp import web

from tests.doubles.model_server import HELLO, ModelServer, ReceivedRequest, chunk, say_hello
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

STREAM = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
PIECE = chunk({"content": "x" * 2**16})
PIECES = 400


async def write_much(received: ReceivedRequest) -> web.StreamResponse:
    """More than the buffers between the model server and the client take."""
    response = await received.stream()
    for _ in range(PIECES):
        await response.write(PIECE)
    await response.write(b"".join(HELLO[-2:]))
    return response


async def open_stream(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request, and read the response only when the test does."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**16)
    body = json.dumps(STREAM).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}"
    writer.write(head.encode() + b"\r\nconnection: close\r\n\r\n" + body)
    return reader, writer


async def requests_with(client: httpx.AsyncClient, outcome: str) -> float:
    prefix = f'gateway_requests_total{{key="anonymous",model="m",outcome="{outcome}"}} '
    for line in (await client.get("/metrics")).text.splitlines():
        if line.startswith(prefix):
            return float(line.removeprefix(prefix))
    return 0


async def test_a_client_that_does_not_read_is_dropped_and_the_replica_is_not_blamed(
    server: ModelServer,
) -> None:
    server.behaviour = write_much
    limits = {"client_seconds": 2.5, "silence_seconds": 1}
    async with (
        running(settings(server.url, limits=limits, breaker={"failures": 1})) as url,
        client_of(url) as client,
    ):
        _, writer = await open_stream(url)
        async with asyncio.timeout(20):
            while not await requests_with(client, "client_stalled"):
                pass
            await server.received[0].abandoned.wait()
        writer.close()
        [model] = (await client.get("/status")).json()["models"]
        assert model["replicas"][0]["breaker"] == "closed"
        assert model["busy"] == 0
        server.behaviour = say_hello
        answer = await client.post("/v1/chat/completions", json=STREAM)
        assert answer.content.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_reads_slowly_gets_the_whole_response(server: ModelServer) -> None:
    server.behaviour = write_much
    limits = {"silence_seconds": 1}
    async with (
        running(settings(server.url, limits=limits, breaker={"failures": 1})) as url,
        client_of(url) as client,
    ):
        reader, writer = await open_stream(url)
        received, pauses = bytearray(), 2
        while part := await reader.read(2**20):
            received += part
            if pauses:
                # Longer than the limit for silence, while the model server waits.
                pauses -= 1
                await asyncio.sleep(1.2)
        writer.close()
        assert received.count(b'"content"') == PIECES
        assert b"data: [DONE]" in received
        assert b'"error"' not in received
        [model] = (await client.get("/status")).json()["models"]
        assert model["replicas"][0]["breaker"] == "closed"
