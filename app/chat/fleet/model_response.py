"""The response of a model server to a request, from a server of the stack or through aiohttp."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import aiohttp

from app.chat.fleet.connection import ChunkSink, Connection, ConnectionBroken, ConnectionPool, Sink


class ModelResponse(ABC):
    """A response whose headers have arrived. `close` must follow in any case.

    :param breaks: connections that broke before this one, after the whole request was sent.
    """

    status: int
    breaks: int = 0

    @abstractmethod
    def header(self, name: str) -> str | None:
        """A header by its name in lower case."""

    @abstractmethod
    async def piece(self) -> bytes:
        """The next piece of the body; empty at its end. Raises ConnectionBroken."""

    @abstractmethod
    async def receive(self, sink: Sink, chunk_sink: ChunkSink | None = None) -> None:
        """Give the rest of the body to the sinks; raises ConnectionBroken, or what they raise."""

    @abstractmethod
    def pause(self) -> None:
        """Read no more until `resume`."""

    @abstractmethod
    def resume(self) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Close an incomplete response, or make its connection available again.

        A second call does nothing.
        """

    async def content(self, most_bytes: int) -> bytes:
        """The body, or its beginning of this size; raises ConnectionBroken."""
        body = bytearray()
        while len(body) < most_bytes and (piece := await self.piece()):
            body += piece
        return bytes(body[:most_bytes])


class PooledResponse(ModelResponse):
    """From a connection of the pool."""

    def __init__(self, connection: Connection, pool: ConnectionPool, status: int) -> None:
        self.status = status
        self._connection = connection
        self._pool = pool
        self._closed = False

    def header(self, name: str) -> str | None:
        return self._connection.headers.get(name)

    async def piece(self) -> bytes:
        return await self._connection.piece()

    async def receive(self, sink: Sink, chunk_sink: ChunkSink | None = None) -> None:
        await self._connection.receive(sink, chunk_sink)

    def pause(self) -> None:
        self._connection.pause()

    def resume(self) -> None:
        self._connection.resume()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._pool.release(self._connection)


class AiohttpResponse(ModelResponse):
    """From aiohttp, which has TLS and proxies."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._response = response
        self._reads = asyncio.Event()
        self._reads.set()

    def header(self, name: str) -> str | None:
        return self._response.headers.get(name)

    async def piece(self) -> bytes:
        try:
            return await self._response.content.readany()
        except aiohttp.ClientError as error:
            raise ConnectionBroken("the connection was lost", responded=True) from error

    async def receive(self, sink: Sink, chunk_sink: ChunkSink | None = None) -> None:
        while piece := await self.piece():
            sink(piece)
            await self._reads.wait()

    def pause(self) -> None:
        self._reads.clear()

    def resume(self) -> None:
        self._reads.set()

    def close(self) -> None:
        self._response.close()
