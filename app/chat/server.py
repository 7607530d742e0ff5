"""How the HTTP server is set up around the application."""

from __future__ import annotations

import math

import uvicorn
from starlette.types import ASGIApp


def server_config(app: ASGIApp, host: str, port: int, drain_seconds: float) -> uvicorn.Config:
    """Uvicorn's settings: the fast loop and parser, logs of our own, nothing told about itself.

    :param drain_seconds: how long running answers may go on after a request to stop.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        # Longer than cloudflared keeps an idle connection (90 s): the side that sends requests has
        # to be the one that closes, or a request may meet a connection that is just being closed.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )
