"""Writes the chunks of a response without a coroutine for each.

ASGI has one coroutine call per chunk in each middleware and in Uvicorn, and the relay of a token
needs none of them: only the start and the end of a response go through ASGI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "llm-stack.direct-body"


class DirectBody:
    """Writes to the connection of one response, between its start and its last ASGI message."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        """Write one chunk; the response must have started, without a content length."""
        transport = self._protocol.transport
        if not transport.is_closing():
            transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    @property
    def paused(self) -> bool:
        """Whether the client reads slower than the response is written."""
        return self._protocol.flow.write_paused

    def abort(self) -> None:
        """Close the connection at once."""
        self._protocol.transport.abort()

    async def drained(self) -> None:
        """Wait until the client has read most of what was written, or has disconnected."""
        await self._protocol.flow.drain()


def offer_direct_body(protocol: HttpToolsProtocol) -> None:
    """Give the application a `DirectBody` for the request that begins."""
    protocol.scope["extensions"] = {_EXTENSION: {"body": DirectBody(protocol)}}


def direct_body(scope: Mapping[str, Any]) -> DirectBody:
    """The writer of a request whose protocol offered one."""
    body = scope["extensions"][_EXTENSION]["body"]
    assert isinstance(body, DirectBody)
    return body
