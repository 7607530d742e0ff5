"""The chat page: files that were built before, served as they are."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# The build puts a digest into the names of these, so that they never change.
_HASHED_FOLDER = "assets/"


class PageFiles(StaticFiles):
    """Static files; the entry page is asked for again each time, hashed assets never."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        hashed = path.startswith(_HASHED_FOLDER) and response.status_code in (200, 304)
        response.headers["cache-control"] = (
            "public, max-age=31536000, immutable" if hashed else "no-cache"
        )
        return response


def serve_page(app: FastAPI, web_root: Path) -> None:
    """Serve the page at `/`; without its files, `/` says so and the API works all the same."""
    if web_root.joinpath("index.html").is_file():
        app.mount("/", PageFiles(directory=web_root, html=True), name="page")
        return

    @app.get("/")
    async def no_page() -> Response:
        text = "The gateway runs, but its page was not built. The API is at /v1/.\n"
        return PlainTextResponse(text, 404)
