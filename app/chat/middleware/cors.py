"""Cross-origin resource sharing, for pages, browser extensions and desktop apps that may call."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.chat.middleware.origins import Origins

# Seconds for which a browser may remember a preflight; Chromium's most.
_PREFLIGHT_SECONDS = 7200
_EXPOSED_HEADERS = (
    "x-request-id",
    "request-id",
    "x-routed-model",
    "x-queue-position",
    "retry-after",
    "retry-after-ms",
    *(
        f"x-ratelimit-{figure}-{unit}"
        for figure in ("limit", "remaining", "reset")
        for unit in ("requests", "tokens")
    ),
    "openai-processing-ms",
    "openai-version",
)


def allow_cross_origin(app: ASGIApp, origins: Origins) -> ASGIApp:
    """ASGI middleware that answers preflights, and lets pages of these origins read responses.

    A preflight allows every header that it asks for: clients send many (`x-stainless-*`,
    `anthropic-version`, `x-api-key`, …), and the gateway ignores those that it does not use. No
    response allows credentials.
    """
    return CORSMiddleware(
        app,
        allow_origin_regex=origins.pattern,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=("*",),
        # A page on the internet that calls a gateway on the machine or network of its visitor.
        allow_private_network=True,
        expose_headers=_EXPOSED_HEADERS,
        max_age=_PREFLIGHT_SECONDS,
    )
