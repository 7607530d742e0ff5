"""How the HTTP server is set up around the application, and how it takes its leave."""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Iterator

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


def connections_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept what clients have connected to so far."""
    listener.setblocking(False)
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            # This one has gone again.
            continue
        except OSError:
            return
        connection.setblocking(False)
        yield connection


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
        listeners = [
            # The system's socket stays open as long as one of its numbers does.
            socket.socket(fileno=os.dup(listener.fileno()))
            for server in self.servers
            for listener in server.sockets
        ]
        for server in self.servers:
            server.close()
        for listener in listeners:
            await self._take_in_the_last(listener)
        await self._serve_on(self._farewell_seconds / 2)
        await super().shutdown(sockets)

    async def _take_in_the_last(self, listener: socket.socket) -> None:
        """Close a listening socket, but for the connections that wait in it: closing would reset
        them, and their clients have been told that they are connected."""
        waiting = [*connections_waiting(listener)]
        listener.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection that it accepts."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return protocol

    async def _serve_on(self, seconds: float) -> None:
        """A second signal of the terminal ends it at once."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends and not self.force_exit:
            await self.on_tick(0)
            await asyncio.sleep(_TICK_SECONDS)
