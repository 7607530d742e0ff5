"""Heads of requests that are too large or too slow, and clients with too many connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.access.raw_requests import connection, head, status_of
from tests.unit.chat.conftest import client_of

START = b"GET /health HTTP/1.1\r\nhost: x\r\n"
KIB = 1024


@pytest.fixture
async def url(server: ModelServer) -> AsyncIterator[str]:
    async with running(settings(server.url, limits={"connections": 20})) as one:
        yield one


async def send_in_parts(writer: asyncio.StreamWriter, part: bytes, parts: int) -> None:
    """Send until the other side closes the connection."""
    for _ in range(parts):
        writer.write(part)
        try:
            await writer.drain()
        except ConnectionError:
            return


async def until_closed(reader: asyncio.StreamReader) -> None:
    """Raises TimeoutError if the other side does not close the connection."""
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 10)


@pytest.mark.parametrize(
    "part",
    [
        b"a: " + b"x" * 1000 + b"\r\n",
        b"a: b\r\n" * 150,
        b"x" * 2000,
    ],
    ids=["many headers", "short headers", "one header"],
)
async def test_a_head_without_an_end_is_refused(url: str, part: bytes) -> None:
    async with connection(url) as (reader, writer):
        writer.write(START)
        await send_in_parts(writer, part, 100)
        assert await status_of(reader) == 431


async def test_a_complete_head_over_the_limit_is_refused_in_openais_form(url: str) -> None:
    async with connection(url) as (reader, writer):
        writer.write(START + b"cookie: " + b"x" * 17 * KIB + b"\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "headers_too_large"


async def test_a_long_request_line_is_refused(url: str) -> None:
    async with connection(url) as (reader, writer):
        writer.write(b"GET /" + b"x" * 17 * KIB + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await status_of(reader) == 431


async def test_a_head_within_the_limit_passes_and_so_does_the_next_request(url: str) -> None:
    async with connection(url) as (reader, writer):
        for _ in range(2):
            writer.write(START + b"cookie: " + b"x" * 15 * KIB)
            await writer.drain()
            writer.write(b"\r\n\r\n")
            response = await asyncio.wait_for(reader.readuntil(b'{"status":"ok"}'), 10)
            assert response.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("part", [b"a: " + b"x" * 1000 + b"\r\n", b"x" * 2000])
async def test_trailers_count_as_headers(url: str, part: bytes) -> None:
    async with connection(url) as (reader, writer):
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        await send_in_parts(writer, part, 5000)
        await until_closed(reader)


async def test_a_body_larger_than_the_limit_of_the_head_passes(url: str) -> None:
    async with client_of(url) as client:
        question = {"role": "user", "content": "x" * 200 * KIB}
        body = {"model": "m", "messages": [question]}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


async def test_slow_heads_and_silent_connections_are_closed(server: ModelServer) -> None:
    configuration = settings(server.url, limits={"head_seconds": 0.2})
    async with running(configuration) as url:
        async with connection(url) as (reader, writer):
            writer.write(START)
            assert await status_of(reader) == 408
            await asyncio.wait_for(reader.read(), 10)
        async with connection(url) as (reader, writer):
            assert await asyncio.wait_for(reader.read(), 10) == b"", "it never sent anything"
        async with connection(url) as (reader, writer):
            writer.write(START + b"\r\n")
            await asyncio.wait_for(reader.readuntil(b'{"status":"ok"}'), 10)
            writer.write(START)
            assert await status_of(reader) == 408, "the second request of a connection"


async def test_a_refused_request_cannot_send_on_without_end(url: str) -> None:
    async with connection(url) as (reader, writer):
        writer.write(head(10**12, path="/v1/unknown"))
        assert await status_of(reader) >= 400
        await send_in_parts(writer, b"x" * 2**20, 200)
        await until_closed(reader)


async def test_one_address_cannot_take_all_connections(url: str) -> None:
    async with AsyncExitStack() as stack:
        closed = 0
        for _ in range(20):
            reader, writer = await stack.enter_async_context(connection(url))
            writer.write(START + b"\r\n")
            status = await status_of(reader)
            assert status in (200, 503)
            closed += status == 503
        assert closed == 2
    async with client_of(url) as client:
        while (await client.get("/health")).status_code != 200:
            pass
