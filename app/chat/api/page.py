"""Serves the static files of the chat page."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

WEB_ROOT = Path("/opt/app/chat/web/dist")
# File names in this folder contain a hash of the content, so the files never change.
_HASHED_FOLDER = "assets/"
# The page draws diagrams in a frame, because the library for them needs inline styles. The frame
# has no origin: it can reach neither the page nor the API, and its scripts are of another origin.
_DIAGRAMS_FOLDER = "diagrams/"
_DIAGRAMS_HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'unsafe-inline'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
            "sandbox allow-scripts",
        )
    ),
    "cross-origin-resource-policy": "cross-origin",
}


# What the build adds to a file's name for its compressed form (vite.config.ts); the best first.
_CODINGS = (("br", ".br"), ("gzip", ".gz"))


class PageFiles(StaticFiles):
    """Static files, compressed by the build where the client accepts that.

    Browsers revalidate the entry page each time, and hashed assets never.
    """

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        accepted = _accepted_codings(Headers(scope=scope).get("accept-encoding", ""))
        for coding, suffix in _CODINGS:
            compressed = f"{os.fspath(full_path)}{suffix}"
            if coding in accepted and os.path.isfile(compressed):
                response = super().file_response(
                    compressed, os.stat(compressed), scope, status_code
                )
                response.headers["content-encoding"] = coding
                break
        else:
            response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["vary"] = "Accept-Encoding"
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        hashed = path.startswith(_HASHED_FOLDER) and response.status_code in (200, 304)
        response.headers["cache-control"] = (
            "public, max-age=31536000, immutable" if hashed else "no-cache"
        )
        if path.startswith(_DIAGRAMS_FOLDER):
            response.headers.update(_DIAGRAMS_HEADERS)
        return response


def _accepted_codings(header: str) -> set[str]:
    """The content codings of an Accept-Encoding header, without those of weight 0."""
    parts = [part.replace(" ", "").lower().partition(";q=") for part in header.split(",")]
    return {coding for coding, _, weight in parts if weight.strip("0.") or not weight}


def serve_page(app: FastAPI, web_root: Path) -> None:
    """Serve the page at `/`. Without its files, `/` answers 404 and the API still works."""
    if web_root.joinpath("index.html").is_file():
        app.mount("/", PageFiles(directory=web_root, html=True), name="page")
        return

    @app.get("/")
    async def no_page() -> Response:
        text = "The gateway runs, but its page was not built. The API is at /v1/.\n"
        return PlainTextResponse(text, 404)
