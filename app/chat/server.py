"""How the HTTP server is set up around the application, and how it takes its leave."""

from __future__ import annotations

import asyncio
import math
import socket

import uvicorn
from starlette.types import ASGIApp

_TICK_SECONDS = 0.1


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


class Server(uvicorn.Server):
    """Stops so that no request is lost, as long as another server takes over.

    Once told to stop, it serves on, and every answer ends its connection, so that clients let go of
    theirs by themselves. Then it accepts none any more: new ones reach its successor, while those
    that were just made are still answered. Only then do running answers drain.
    """

    def __init__(self, config: uvicorn.Config, farewell_seconds: float) -> None:
        super().__init__(config)
        self._farewell_seconds = farewell_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.encoded_headers.append((b"connection", b"close"))
        await self._serve_on(self._farewell_seconds)
        for server in self.servers:
            server.close()
        await self._serve_on(self._farewell_seconds / 2)
        await super().shutdown(sockets)

    async def _serve_on(self, seconds: float) -> None:
        """A second signal of the terminal ends it at once."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends and not self.force_exit:
            await self.on_tick(0)
            await asyncio.sleep(_TICK_SECONDS)
