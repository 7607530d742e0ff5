"""The connections to model servers: responses in any form of HTTP, reuse, and failures."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.chat.apis.stream_form import OPENAI_STREAM
from app.chat.fleet.connection import (
    ConnectFailed,
    Connection,
    ConnectionBroken,
    ConnectionPool,
    request_head,
)

HEAD = request_head("/v1/x", {"host": "h"}, 2)
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-length: 5\r\n\r\nhello"


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[int]:
    """The port of a server that gives one answer per connection, and closes after each `END`."""
    waiting = list(answers)
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while waiting:
            try:
                await reader.readuntil(b"{}")
            except asyncio.IncompleteReadError:
                break
            text = waiting.pop(0)
            writer.write(text.removesuffix(b"END"))
            if text.endswith(b"END"):
                break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    pool = ConnectionPool(5)
    connection = await pool.open("127.0.0.1", port)
    yield connection
    pool.release(connection)
    pool.close()


async def response(connection: Connection) -> tuple[int, bytes]:
    connection.request(HEAD, b"{}")
    status = await connection.response_head()
    body: list[bytes] = []
    await connection.receive(body.append)
    return status, b"".join(body)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (WHOLE, b"hello"),
        (OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (OK + b"\r\nuntil the endEND", b"until the end"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + WHOLE, b"hello"),
        (OK + b"content-length: 0\r\n\r\n", b""),
    ],
)
async def test_a_response_is_read_to_its_end(answer: bytes, body: bytes) -> None:
    async with answering(answer) as port, connected(port) as connection:
        assert await response(connection) == (200, body)


@pytest.mark.parametrize(
    ("answer", "responded"),
    [
        (b"END", False),
        (b"HTTP/1.1 2END", True),
        (OK + b"content-length: 9\r\n\r\nhelloEND", True),
        (OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\nEND", True),
        (b"not HTTP\r\n\r\n", True),
        (OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n", True),
    ],
)
async def test_a_broken_response_is_an_error(answer: bytes, *, responded: bool) -> None:
    async with answering(answer) as port, connected(port) as connection:
        with pytest.raises(ConnectionBroken) as broken:
            await response(connection)
        assert broken.value.responded is responded


async def test_a_connection_is_used_again_after_a_whole_response() -> None:
    async with answering(WHOLE, WHOLE, WHOLE) as port:
        pool = ConnectionPool(5)
        first = await pool.open("127.0.0.1", port)
        await response(first)
        other = await pool.open("127.0.0.1", port)
        assert other is not first, "it is in use"
        pool.release(first)
        again = await pool.open("127.0.0.1", port)
        assert again is first
        assert (await response(again)) == (200, b"hello")
        assert again.reused
        pool.release(again)
        other.close()
        pool.close()


async def test_a_connection_with_an_incomplete_response_is_not_used_again() -> None:
    async with answering(OK + b"content-length: 9\r\n\r\nhello", WHOLE) as port:
        pool = ConnectionPool(5)
        first = await pool.open("127.0.0.1", port)
        first.request(HEAD, b"{}")
        await first.response_head()
        pool.release(first)
        second = await pool.open("127.0.0.1", port)
        assert second is not first
        second.close()


@pytest.mark.parametrize("size", [1, 7, 43, 44, 86, 1000])
async def test_reads_of_any_size_give_the_same_body(size: int) -> None:
    event = b'data: {"choices":[{"text":"\\n\\n"}]}\n\n'
    chunk = b"%x\r\n%b\r\n" % (len(event), event)
    assert len(chunk) == 43
    passed_on: list[bytes] = []

    def take(read: bytes) -> bool:
        if not OPENAI_STREAM.is_one_event(read):
            return False
        passed_on.append(event)
        return True

    async with answering() as port, connected(port) as connection:
        connection.request(HEAD, b"{}")
        connection.data_received(OK + b"transfer-encoding: chunked\r\n\r\n" + chunk)
        received = asyncio.create_task(connection.receive(passed_on.append, take))
        await asyncio.sleep(0)
        stream = chunk * 9 + b"3\r\n: \n\r\n" + chunk + b"0\r\n\r\n"
        for start in range(0, len(stream), size):
            connection.data_received(stream[start : start + size])
        await received
        assert connection.end_request()
    assert b"".join(passed_on) == event * 10 + b": \n" + event


@pytest.mark.parametrize("more", [b"", b"x" * 2**20], ids=["at once", "in pieces"])
async def test_an_error_of_the_sink_is_raised(more: bytes) -> None:
    def refuse(piece: bytes) -> None:
        raise ValueError(piece)

    head = OK + b"content-length: %d\r\n\r\n" % (5 + len(more))
    async with answering(head + b"hello" + more) as port, connected(port) as connection:
        connection.request(HEAD, b"{}")
        await connection.response_head()
        with pytest.raises(ValueError, match="hello"):
            await connection.receive(refuse)


async def test_a_port_that_nobody_listens_on_is_reported() -> None:
    async with answering() as port:
        pass
    with pytest.raises(ConnectFailed, match="connection refused"):
        await ConnectionPool(5).open("127.0.0.1", port)


async def test_a_name_that_does_not_resolve_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectFailed, match="does not resolve"):
        await ConnectionPool(5).open("no-such-host.invalid", 80)
