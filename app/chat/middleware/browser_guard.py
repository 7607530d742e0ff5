"""Security headers for browsers, and the check of the Origin header.

Sources: the Content Security Policy and Fetch standards; OWASP's list of secure headers.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.chat.openai.errors import ApiError

# The page's HTML adds its own policy (trusted types). `frame-ancestors` works only in a header.
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
    """ASGI middleware: adds security headers, and refuses requests from pages of other sites.

    Browsers let such a page send requests even if it may not read the responses, and each request
    costs CPU time. Clients other than browsers send no Origin header.
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
        cross_origin = origin is not None and not _same_site(origin, headers.get("host", ""))

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                response_headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    response_headers.setdefault(name, value)
                if cross_origin and origin in self._allowed:
                    response_headers["cross-origin-resource-policy"] = "cross-origin"
            await send(message)

        if cross_origin and origin not in self._allowed:
            message = "pages of this origin may not call the gateway"
            refusal = ApiError(403, message, code="origin_not_allowed")
            await refusal.response(scope)(scope, receive, guarded_send)
            return
        await self._app(scope, receive, guarded_send)


def _same_site(origin: str, host: str) -> bool:
    return bool(host) and urlsplit(origin).netloc == host
