"""Reads the body of a request within the limits, and decodes compressed ones."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from functools import cached_property

from starlette.requests import Request

from app.chat.access.admission import Admitted, admitted_of
from app.chat.fleet.body_cap import BodyCap
from app.chat.openai.errors import ApiError
from app.chat.schema.model_limits import ALLOWANCE
from app.chat.settings import Limits

# The encodings in which clients may send a body.
ACCEPTED_ENCODINGS = "gzip, deflate, identity"
# For zlib: the largest window, and to recognize the header of gzip or zlib.
_ANY_HEADER = zlib.MAX_WBITS + 32
_RAW_DEFLATE = -zlib.MAX_WBITS
_CODES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


async def read_body(request: Request, limits: Limits, cap: Callable[[], BodyCap | None]) -> bytes:
    """The body, decoded; raises ApiError 400, 408, 413, 415, or 429 if the memory is full.

    :param cap: returns what any model can use; called for large bodies only.
    """
    decoder = _decoder(request)
    declared = request.headers.get("content-length", "")
    body = _Body(admitted_of(request), limits, cap)
    if declared.isascii() and declared.isdigit():
        body.expect(int(declared))
    try:
        async with asyncio.timeout(limits.body_seconds):
            more = True
            while more:
                part = await request.receive()
                if part["type"] == "http.disconnect":
                    raise ApiError(499, "the client disconnected", code="client_gone")
                chunk, more = part["body"], part["more_body"]
                if decoder is None:
                    body.add(chunk)
                else:
                    decoder.decode(chunk, body)
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_seconds:g} s"
        raise ApiError(408, message, code="request_timeout") from None
    if decoder is not None:
        decoder.finish()
    return bytes(body.content)


class _Body:
    """What has arrived so far."""

    def __init__(
        self, account: Admitted, limits: Limits, cap: Callable[[], BodyCap | None]
    ) -> None:
        self._account = account
        self._limits = limits
        self._find_cap = cap
        self.content = bytearray()

    @cached_property
    def _cap(self) -> BodyCap | None:
        return self._find_cap()

    @property
    def room(self) -> int:
        """How many bytes may still come."""
        most = self._limits.body_bytes
        return (most if self._cap is None else min(most, self._cap.size)) - len(self.content)

    def expect(self, size: int) -> None:
        """Raise ApiError for a body that has, or will have, this size."""
        if size > self._limits.body_bytes:
            raise _too_large(self._limits)
        if size > ALLOWANCE and self._cap is not None and size > self._cap.size:
            raise self._cap.error()

    def add(self, chunk: bytes) -> None:
        self.expect(len(self.content) + len(chunk))
        self._account.add(len(chunk))
        self.content += chunk


class _Decoder:
    """Decodes gzip and deflate, never more than the body may have."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._zlib = zlib.decompressobj(_ANY_HEADER)
        self._started = False

    def decode(self, chunk: bytes, body: _Body) -> None:
        if not chunk:
            return
        if self._zlib.eof:
            raise self._invalid("has data after its end")
        if not self._started and self._encoding == "deflate" and chunk[0] & 0x0F != 8:
            # Many clients send deflate without the header of zlib.
            self._zlib = zlib.decompressobj(_RAW_DEFLATE)
        self._started = True
        try:
            # One byte more than allowed shows that there is more.
            body.add(self._zlib.decompress(chunk, body.room + 1))
        except zlib.error:
            raise self._invalid("is damaged") from None

    def finish(self) -> None:
        if self._started and not self._zlib.eof:
            raise self._invalid("is incomplete")
        if self._zlib.unused_data:
            raise self._invalid("has data after its end")

    def _invalid(self, problem: str) -> ApiError:
        message = f"the body in the encoding {self._encoding} {problem}"
        return ApiError(400, message, code="invalid_encoding")


def _decoder(request: Request) -> _Decoder | None:
    encodings = request.headers.get("content-encoding", "").strip().lower()
    if encodings in ("", "identity"):
        return None
    if encodings not in _CODES:
        raise ApiError(
            415,
            f"the content encoding '{encodings[:64]}' is not supported; "
            f"supported: {ACCEPTED_ENCODINGS}",
            code="unsupported_encoding",
            param="content-encoding",
        )
    return _Decoder(_CODES[encodings])


def _too_large(limits: Limits) -> ApiError:
    return ApiError(
        413, f"the body is larger than {limits.body_bytes} bytes", code="request_too_large"
    )
