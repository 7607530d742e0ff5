"""Gives every request an id, and logs how it ends; answers requests that a defect ends."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.chat.openai.errors import internal_error
from app.chat.request_record import RequestRecord, attach_record
from app.shared.json_log import Log

_ID_HEADER = "x-request-id"
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Requested every few seconds by health checks, Prometheus and the page: log only failures.
_ROUTINE = frozenset({"/health", "/ready", "/metrics", "/status"})

_log = Log(__name__)


class RequestLog:
    """ASGI middleware. Keeps the request id of a client if it is safe in a log line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord()
        client_id = Headers(scope=scope).get(_ID_HEADER, "")
        if _VALID_ID.fullmatch(client_id):
            record.request_id = client_id
        attach_record(scope, record)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                own = {_ID_HEADER: record.request_id, **record.rate_limits()}
                raw = [(name.encode(), value.encode()) for name, value in own.items()]
                message["headers"] = [*message.get("headers", ()), *raw]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            _log.exception(
                "a request failed because of an error in the gateway",
                request_id=record.request_id,
                path=scope["path"],
            )
            # The server closes the connection of an incomplete response.
            if not record.status:
                await internal_error().response(scope)(scope, receive, send_with_id)
        finally:
            if scope["path"] not in _ROUTINE or record.status >= 500:
                _log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=record.status,
                    duration_ms=round(record.age * 1000, 1),
                    **record.log_fields(),
                )
