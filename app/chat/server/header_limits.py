"""Limits what a client may send before the application sees its request: heads and connections.

Uvicorn's protocol stores the head of a request without a limit of size or time.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.chat.access.fair_shares import FairShares, address_share
from app.chat.apis.error_form import OPENAI_ERRORS
from app.chat.fleet.fair_queue import Share
from app.chat.openai.errors import ApiError
from app.chat.server.direct_body import DirectProtocol
from app.chat.settings import Limits

_MOST_HEADERS = 128
# Of a request that was refused: its client may still be sending the body.
_MOST_UNREAD_BYTES = 16 * 2**20


@dataclass(frozen=True)
class _Heads:
    """The limits, and what all connections share."""

    limits: Limits
    connections: FairShares


class LimitedProtocol(DirectProtocol):
    """Closes a connection whose request line, headers or trailers are too large or too slow."""

    heads: _Heads

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._size = 0
        self._headers = 0
        self._in_head = False
        self._silent_bytes = self._unread = 0
        self._progress = False
        self._error: ApiError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._share: Share | None = address_share(self.client[0] if self.client else "")
        if not self.heads.connections.take(self._share):
            self._share = None
            self._refuse(ApiError(503, "too many connections", code="gateway_full"))
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._share is not None:
            self.heads.connections.give_back(self._share)
            self._share = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._progress = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        # Neither the end of a head nor a part of a body: it is stored or ignored by the parser.
        self._silent_bytes = 0 if self._progress else self._silent_bytes + len(data)
        if self._silent_bytes > self.heads.limits.head_bytes:
            self._error = self._error or self._too_large()
        if self._error is not None:
            self._refuse(self._error)
        elif self._in_head and self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._progress = self._in_head = True
        self._size = self._headers = 0

    def on_url(self, url: bytes) -> None:
        if self._counts(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also called for trailers."""
        self._headers += 1
        if self._counts(len(name) + len(value) + 4) and self._headers <= _MOST_HEADERS:
            super().on_header(name, value)
        else:
            self._error = self._error or self._too_large()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._progress, self._in_head = True, False
        self._unread = 0
        if self._error is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._progress = True
        if self._error is not None:
            return
        super().on_body(body)
        if self.cycle.response_complete:
            self._unread += len(body)
            if self._unread > _MOST_UNREAD_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        self._progress = True
        if self._error is None:
            super().on_message_complete()

    def _counts(self, size: int) -> bool:
        """Count bytes of a head; returns whether they are within the limit."""
        self._size += size
        if self._size > self.heads.limits.head_bytes:
            self._error = self._error or self._too_large()
        return self._error is None

    def _too_large(self) -> ApiError:
        message = (
            f"the request line and headers are larger than {self.heads.limits.head_bytes} bytes, "
            f"or more than {_MOST_HEADERS} headers"
        )
        return ApiError(431, message, code="headers_too_large")

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.heads.limits.head_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self.transport.is_closing():
            return
        if not self._in_head:
            # It never sent a request.
            self.transport.close()
            return
        message = f"the headers did not arrive within {self.heads.limits.head_seconds:g} s"
        self._refuse(ApiError(408, message, code="request_timeout"))

    def _refuse(self, error: ApiError) -> None:
        """Send an error and close the connection; only close it in the middle of a response."""
        if self.cycle is None or self.cycle.response_complete:
            body = OPENAI_ERRORS.document(error, uuid.uuid4().hex)
            head = (
                b"content-type: application/json\r\n"
                b"content-length: %d\r\n"
                b"connection: close\r\n\r\n" % len(body)
            )
            self.transport.write(STATUS_LINE[error.status] + head + body)
        self.transport.close()


def limited_protocol(limits: Limits) -> type[LimitedProtocol]:
    """The protocol of the connections of one server."""
    heads = _Heads(limits, FairShares(limits.connections))
    return type("Protocol", (LimitedProtocol,), {"heads": heads})
