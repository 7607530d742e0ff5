"""Writes the chunks of a response without a coroutine for each.

ASGI has one coroutine call per chunk in each middleware and in Uvicorn, and the relay of a token
needs none of them: only the start and the end of a response go through ASGI. A callback reports a
disconnect, so that no task has to wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_EXTENSION = "llm-stack.direct-body"


class DirectProtocol(HttpToolsProtocol):
    """Gives the application a `DirectBody` for each request."""

    on_lost: Callable[[], None] | None = None
    on_pause: Callable[[], None] | None = None
    _running: RequestResponseCycle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope["extensions"] = {_EXTENSION: {"body": DirectBody(self)}}
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._running is not None and not self._running.response_complete:
            # Uvicorn marks only the request that arrived last.
            self._running.disconnected = True
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.on_pause is not None:
            self.on_pause()


class DirectBody:
    """Writes to the connection of one response, between its start and its last ASGI message."""

    def __init__(self, protocol: DirectProtocol) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._flow = protocol.flow

    def write(self, data: bytes) -> None:
        """Write one chunk; the response must have started, without a content length."""
        self.write_chunk(b"%x\r\n%b\r\n" % (len(data), data))

    def write_chunk(self, chunk: bytes) -> None:
        """Write data that has the form of a chunk already."""
        if not self._transport.is_closing():
            self._transport.write(chunk)

    def on_pause(self, pause: Callable[[], None] | None) -> None:
        """Call `pause` whenever the client has too much to read; None ends that."""
        self._protocol.on_pause = pause

    @property
    def paused(self) -> bool:
        """Whether the client reads slower than the response is written."""
        return self._flow.write_paused

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    async def drained(self) -> None:
        """Wait until the client has read most of what was written, or has disconnected."""
        await self._flow.drain()

    @contextmanager
    def reporting_disconnect(self, lost: Callable[[], None]) -> Iterator[None]:
        """Call `lost` when the client disconnects during this block; the request must be read."""
        protocol = self._protocol
        protocol.on_lost = lost
        # Uvicorn stops reading during a large body; only a connection that is read reports its end.
        self._flow.resume_reading()
        try:
            if self._transport.is_closing():
                lost()
            yield
        finally:
            if protocol.on_lost is lost:
                protocol.on_lost = None


def direct_body(scope: Mapping[str, Any]) -> DirectBody:
    """The writer of a request whose protocol offered one."""
    body = scope["extensions"][_EXTENSION]["body"]
    assert isinstance(body, DirectBody)
    return body
