"""Serves the static files of the chat page."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
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


class PageFiles(StaticFiles):
    """Static files; browsers revalidate the entry page each time, and hashed assets never."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        hashed = path.startswith(_HASHED_FOLDER) and response.status_code in (200, 304)
        response.headers["cache-control"] = (
            "public, max-age=31536000, immutable" if hashed else "no-cache"
        )
        if path.startswith(_DIAGRAMS_FOLDER):
            response.headers.update(_DIAGRAMS_HEADERS)
        return response


def serve_page(app: FastAPI, web_root: Path) -> None:
    """Serve the page at `/`. Without its files, `/` answers 404 and the API still works."""
    if web_root.joinpath("index.html").is_file():
        app.mount("/", PageFiles(directory=web_root, html=True), name="page")
        return

    @app.get("/")
    async def no_page() -> Response:
        text = "The gateway runs, but its page was not built. The API is at /v1/.\n"
        return PlainTextResponse(text, 404)
