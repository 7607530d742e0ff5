"""Serves the lists of a service on a Swarm: `python3 -m app.shared.list_server`.

A Swarm's configs cannot change, so a service that mounts another one is restarted. This program has
the configs instead of the gateway or the monitor, which read them from it over the stack's network.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

FOLDER = Path("/run/lists")
PORT = 8090


def application(folder: Path) -> web.Application:
    """Serves the files of the folder as they are at the start, and `/health`."""
    app = web.Application()
    app.router.add_get("/health", _health)
    for name, content in contents(folder).items():
        app.router.add_get(f"/{name}", _handler(content))
    return app


def contents(folder: Path) -> Mapping[str, bytes]:
    """The files of the folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _handler(content: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type="application/json")

    return handle


def main() -> None:
    """Serve until SIGTERM."""
    port = int(os.environ.get("PORT", PORT))
    web.run_app(application(FOLDER), port=port, access_log=None, print=lambda text: None)


if __name__ == "__main__":
    main()
