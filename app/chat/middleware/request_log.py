"""Gives every request an id, and writes one line about it when it is over."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.chat.middleware.request_record import RequestRecord, attach_record
from app.shared.json_log import Log

_ID_HEADER = "x-request-id"
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked for every few seconds by health checks, scrapers and the page; a line only for failures.
_ROUTINE = frozenset({"/health", "/ready", "/metrics", "/status"})

_log = Log(__name__)


class RequestLog:
    """ASGI middleware. A client's own request id is kept where it is safe to write into a log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord()
        wanted = Headers(scope=scope).get(_ID_HEADER, "")
        if _ACCEPTABLE_ID.fullmatch(wanted):
            record.request_id = wanted
        attach_record(scope, record)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_ID_HEADER] = record.request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in _ROUTINE or status >= 500:
                _log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    duration_ms=round(record.age * 1000, 1),
                    **record.log_fields(),
                )
