"""Bounds how many API requests the process holds at once, before it reads any of them."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from .openai_errors import ApiError

_API_PREFIX = "/v1/"


class Admission:
    """ASGI middleware: a request too many gets 429 at once, so that memory stays bounded."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_API_PREFIX):
            await self._app(scope, receive, send)
            return
        if self._open >= self._most:
            message = "the gateway has too many requests open"
            refusal = ApiError(429, message, code="gateway_full", retry_after=5)
            await refusal.response()(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
