"""Limits the open requests of the process, and the memory for their bodies."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.chat.apis.table import is_api_path
from app.chat.openai.errors import ApiError
from app.chat.settings import Limits

_STATE_KEY = "body_account"
_RETRY_AFTER_SECONDS = 5.0


class BodyAccount:
    """The bytes of one request body, counted towards the limit for all bodies."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.held = 0

    def add(self, size: int) -> None:
        """Count bytes before they are stored; raises ApiError 429 over the limit."""
        self._admission.reserve(size)
        self.held += size


class Admission:
    """ASGI middleware: a request over the limit gets 429 before its body is read."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._open = 0
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_api_path(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._open >= self._limits.open_requests:
            await _full("open requests").response(scope)(scope, receive, send)
            return
        account = scope["state"][_STATE_KEY] = BodyAccount(self)
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            self._held -= account.held

    def reserve(self, size: int) -> None:
        if self._held + size > self._limits.all_bodies_bytes:
            raise _full("bytes of request bodies")
        self._held += size


def body_account(request: Request) -> BodyAccount:
    account = getattr(request.state, _STATE_KEY)
    assert isinstance(account, BodyAccount)
    return account


def _full(what: str) -> ApiError:
    message = f"the gateway has too many {what}; try again later"
    return ApiError(429, message, code="gateway_full", retry_after=_RETRY_AFTER_SECONDS)
