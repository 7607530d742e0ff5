"""Security headers for browsers, and the checks of the Host and Origin headers.

Sources: the Content Security Policy and Fetch standards; OWASP's list of secure headers.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.chat.middleware.origins import Origins
from app.chat.openai.errors import ApiError
from app.shared.host_names import HostNames

# The page's HTML adds its own policy (trusted types). `frame-ancestors` works only in a header.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "font-src 'self'",
        "frame-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
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
# As ASGI needs them, built once: every response has them.
_SAME_ORIGIN = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
_CROSS_ORIGIN = [
    (name, b"cross-origin" if name == b"cross-origin-resource-policy" else value)
    for name, value in _SAME_ORIGIN
]


# The frame in which the page draws diagrams has no origin, and loads its scripts from here.
_FRAME_FOLDER = "/diagrams/"


def _is_for_the_frame(scope: Scope, origin: str | None) -> bool:
    return (
        origin == "null"
        and scope["method"] in ("GET", "HEAD")
        and scope["path"].startswith(_FRAME_FOLDER)
    )


class BrowserGuard:
    """ASGI middleware: adds security headers, and refuses requests from pages of other sites.

    Browsers let such a page send requests even if it may not read the responses, and each request
    costs CPU time. Clients other than browsers send no Origin header.
    """

    def __init__(self, app: ASGIApp, hosts: HostNames, origins: Origins) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        own = origin is None or self._origins.is_own(origin, host)
        cross_origin = not own and not _is_for_the_frame(scope, origin)
        refusal = self._refusal(host, origin if cross_origin else None)
        security_headers = _CROSS_ORIGIN if cross_origin and refusal is None else _SAME_ORIGIN

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                names = {name for name, _ in own}
                message["headers"] = own + [one for one in security_headers if one[0] not in names]
            await send(message)

        if refusal is not None:
            await refusal.response(scope)(scope, receive, guarded_send)
            return
        await self._app(scope, receive, guarded_send)

    def _refusal(self, host: str, other_origin: str | None) -> ApiError | None:
        """The error for a request to another host name, or from a page of another site."""
        if not self._hosts.allow(host):
            message = (
                "the Host header is not a name of this gateway; allow it in the stack's settings: "
                "llm-stack:gateway.hosts"
            )
            return ApiError(421, message, code="host_not_allowed")
        if other_origin is not None and not self._origins.allow(other_origin):
            message = (
                "pages of this origin may not call the gateway; allow it in the stack's settings: "
                "llm-stack:gateway.corsOrigins, or llm-stack:gateway.hosts if it is the gateway's "
                "own page behind a proxy"
            )
            return ApiError(403, message, code="origin_not_allowed")
        return None
