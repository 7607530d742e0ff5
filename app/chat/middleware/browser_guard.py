"""What browsers are told, and which pages of other sites may call.

Sources: the Content Security Policy and Fetch standards; OWASP's list of secure headers.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.chat.openai.errors import ApiError

# The page's own build adds to this what only it can know (trusted types); who may frame it can be
# said by a header alone.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class BrowserGuard:
    """ASGI middleware: security headers on every response, and no request from a foreign page.

    A page of another site can send requests without being allowed to read the answers; here those
    are refused as well, since they would cost computing time. Programs send no Origin header.
    """

    def __init__(self, app: ASGIApp, allowed_origins: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        foreign = origin is not None and not _same_site(origin, headers.get("host", ""))

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                response_headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    response_headers.setdefault(name, value)
                if foreign and origin in self._allowed:
                    response_headers["cross-origin-resource-policy"] = "cross-origin"
            await send(message)

        if foreign and origin not in self._allowed:
            message = "pages of other sites may not call this gateway"
            refusal = ApiError(403, message, code="origin_not_allowed")
            await refusal.response()(scope, receive, guarded_send)
            return
        await self._app(scope, receive, guarded_send)


def _same_site(origin: str, host: str) -> bool:
    return bool(host) and urlsplit(origin).netloc == host
