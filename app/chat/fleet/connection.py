"""An HTTP/1.1 connection to a model server, and a pool of idle ones.

A stream goes to a callback as it arrives, all that one read from the socket brings at once. With a
coroutine for each chunk, as every HTTP client for asyncio has, relaying a token takes twice the CPU
time (`python -m benchmarks.gateway` measures it). httptools parses, as it does in Uvicorn.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

import httptools

from app.chat.fleet.server import UNKNOWN_HOST

# llama-server closes idle connections after 5 s: do not reuse one shortly before.
_KEEP_IDLE_SECONDS = 4.0
# llama-server closes each connection after 100 requests, without a notice.
_MOST_REQUESTS = 90
_LONGEST_HEAD_BYTES = 64 * 1024

Sink = Callable[[bytes], None]
"""Takes the pieces of a body; what it raises ends the response."""
ChunkSink = Callable[[bytes], bool]
"""Takes a read that is one chunk of HTTP; returns False for any other, which is parsed then."""


class ConnectFailed(OSError):
    """No connection could be opened; the text is the reason."""


class ConnectionBroken(OSError):
    """The connection ended before the response did.

    :param responded: whether a part of the response had arrived.
    """

    def __init__(self, reason: str, *, responded: bool) -> None:
        super().__init__(reason)
        self.responded = responded
        # Connections that broke after the whole request was sent, this one included.
        self.breaks = 1


class Connection(asyncio.Protocol):
    """One connection; it has one request at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self._loop = asyncio.get_running_loop()
        self._requests = 0
        self.idle_since = 0.0
        self._open = False
        self._in_use = False

    @property
    def usable(self) -> bool:
        """Whether an idle connection is still open."""
        idle = self._loop.time() - self.idle_since
        return self._open and idle < _KEEP_IDLE_SECONDS

    @property
    def reused(self) -> bool:
        """Whether the current request is not its first one."""
        return self._requests > 1

    def request(self, head: bytes, body: bytes) -> None:
        """Send a request; `response_head` and `receive` follow."""
        self._requests += 1
        self._in_use = True
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[int] = self._loop.create_future()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self.headers: dict[str, str] = {}
        self._head_bytes = 0
        self._keep_alive = self._ends_at_close = self._complete = self._responded = False
        self._sink: Sink | None = None
        self._chunk_sink: ChunkSink | None = None
        self._between_chunks = False
        self._pieces: list[bytes] = []
        self._arrival: asyncio.Future[None] | None = None
        if not self._open:
            self._fail("the connection was lost")
            return
        self._transport.write(head + body)

    async def response_head(self) -> int:
        """The status of the response, when its headers are complete; raises ConnectionBroken."""
        return await self._head

    async def piece(self) -> bytes:
        """The next piece of the body; empty at its end. Raises ConnectionBroken."""
        while not self._pieces:
            if self._end.done():
                self._end.result()
                return b""
            self._arrival = self._loop.create_future()
            await self._arrival
        return self._taken()

    async def receive(self, sink: Sink, chunk_sink: ChunkSink | None = None) -> None:
        """Give the rest of the body to the sinks; raises ConnectionBroken, or what they raise."""
        self._sink, self._chunk_sink = sink, chunk_sink
        if self._pieces:
            sink(self._taken())
        await self._end

    def pause(self) -> None:
        """Stop reading, until `resume`: the server waits when its buffers are full."""
        if self._open:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._open:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._open:
            self._transport.close()

    def end_request(self) -> bool:
        """Whether another request can follow; called when the caller no longer needs the body."""
        self._in_use = self._between_chunks = False
        self._sink = self._chunk_sink = None
        for future in (self._head, self._end):
            if future.done() and not future.cancelled():
                # Mark an exception as retrieved: its owner may have been cancelled.
                future.exception()
            future.cancel()
        self.idle_since = self._loop.time()
        reusable = self._complete and self._keep_alive and self._requests < _MOST_REQUESTS
        return reusable and self._open

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not subclass asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        self._open = True

    def data_received(self, data: bytes) -> None:
        # The path of nearly every token. Python calls a local variable faster than an attribute.
        chunk_sink = self._chunk_sink
        if self._between_chunks and chunk_sink is not None:
            try:
                if chunk_sink(data):
                    return
            except Exception as error:
                self._sink_failed(error)
                return
        if not self._in_use or self._complete:
            # Nothing was requested.
            self.close()
            return
        self._responded = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("the response is not valid HTTP")
            return
        if self._head_bytes > _LONGEST_HEAD_BYTES:
            self._fail("the headers of the response are too large")
            return
        if self._sink is not None and self._pieces:
            # Whether the read ends with a chunk that ends with an event.
            ends = data.endswith(b"\n\n\r\n") and self._pieces[-1].endswith(b"\n\n")
            self._between_chunks = ends and self._chunk_sink is not None
            try:
                self._sink(self._taken())
            except Exception as error:
                self._sink_failed(error)
        if self._complete and not self._end.done():
            self._end.set_result(None)
        if self._arrival is not None:
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._open = False
        if self._in_use and not self._complete:
            if self._ends_at_close and error is None:
                self._complete = True
                if not self._end.done():
                    self._end.set_result(None)
                self._wake()
                return
            self._fail("the connection was lost")

    # Called by the parser.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes <= _LONGEST_HEAD_BYTES:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            # An interim response; the final one follows.
            self.headers.clear()
            return
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        self._ends_at_close = not framed
        self._keep_alive = self._parser.should_keep_alive()
        if not self._head.done():
            self._head.set_result(self._parser.get_status_code())

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self._complete = self._head.done()

    def _taken(self) -> bytes:
        """All that has arrived since the last call."""
        pieces = self._pieces
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return taken

    def _wake(self) -> None:
        """Continue the task that waits for a piece or the end."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        self._arrival = None

    def _sink_failed(self, error: Exception) -> None:
        # The exception belongs to the task that receives the response.
        if not self._end.done():
            self._end.set_exception(error)
        self._sink, self._between_chunks = _discard, False
        self.close()

    def _fail(self, reason: str) -> None:
        error = ConnectionBroken(reason, responded=self._responded)
        for future in (self._head, self._end):
            if not future.done():
                future.set_exception(error)
        self._wake()
        self.close()


def _discard(_: bytes) -> None:
    """Takes what arrives after the response has failed."""


class ConnectionPool:
    """Opens connections, and keeps idle ones for the next request."""

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._idle: dict[tuple[str, int], deque[Connection]] = {}

    async def open(self, host: str, port: int, *, fresh: bool = False) -> Connection:
        """A connection; raises ConnectFailed or TimeoutError.

        :param fresh: do not use an idle one.
        """
        idle = self._idle.get((host, port))
        while idle and not fresh:
            connection = idle.pop()
            if connection.usable:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection((host, port)), host, port
                )
        except socket.gaierror as error:
            raise ConnectFailed(UNKNOWN_HOST) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectFailed("connection refused") from error
        return connection

    def release(self, connection: Connection) -> None:
        """End the request of a connection, and keep it if it can be used again."""
        if not connection.end_request():
            connection.close()
            return
        idle = self._idle.setdefault(connection.address, deque())
        while idle and not idle[0].usable:
            idle.popleft().close()
        idle.append(connection)

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()


def request_head(path: str, headers: Mapping[str, str], length: int) -> bytes:
    """The head of a POST request with a body of this many bytes."""
    lines = [f"POST {path} HTTP/1.1", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
