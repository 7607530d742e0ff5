"""Uvicorn configuration and graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import Iterator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from app.chat.server.header_limits import limited_protocol
from app.chat.settings import Limits

HANDOVER_SECONDS = 2.0
"""After SIGTERM: serve on and close each connection after its response, so that clients reconnect
to the next container. Then, for half as long: accept no connection, and still answer open ones."""
_TICK_SECONDS = 0.1
_IDLE_TICK_SECONDS = 1.0


def server_config(
    app: ASGIApp, host: str, port: int, drain_seconds: float, limits: Limits | None = None
) -> uvicorn.Config:
    """Uvicorn with uvloop and httptools, without its own logs and its Server header.

    :param drain_seconds: at shutdown, how long running requests may take to finish.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=limited_protocol(limits or Limits()),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        # Longer than cloudflared keeps an idle connection (90 s): if the server closes idle
        # connections first, a request may arrive on a connection that is just being closed.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )


def connections_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept the connections that are in the backlog of a listening socket."""
    listener.setblocking(False)
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            # The client has closed this connection already.
            continue
        except OSError:
            return
        connection.setblocking(False)
        yield connection


class Server(uvicorn.Server):
    """Shuts down without losing a request, as long as another server takes over.

    After SIGTERM it still serves, and each response closes its connection, so that clients
    reconnect. Then it closes its listening socket: new connections reach the next container, and
    connections made before are still answered. Then running requests drain.
    """

    def __init__(self, config: uvicorn.Config, handover_seconds: float) -> None:
        super().__init__(config)
        self._handover_seconds = handover_seconds
        self._exit = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Uvicorn's, with one tick in a second where it has ten: they wake an idle process."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exit.wait(), _IDLE_TICK_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._exit.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.encoded_headers.append((b"connection", b"close"))
        await self._serve_on(self._handover_seconds)
        listeners = [
            # A duplicated file descriptor keeps the socket open after uvicorn closes its own.
            socket.socket(fileno=os.dup(listener.fileno()))
            for server in self.servers
            for listener in server.sockets
        ]
        for server in self.servers:
            server.close()
        for listener in listeners:
            await self._accept_backlog_and_close(listener)
        await self._serve_on(self._handover_seconds / 2)
        await super().shutdown(sockets)

    async def _accept_backlog_and_close(self, listener: socket.socket) -> None:
        """Accept the connections in the backlog, then close the listening socket.

        Closing it alone would reset connections that clients see as established.
        """
        waiting = [*connections_waiting(listener)]
        listener.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        """The protocol object that uvicorn creates for each accepted connection."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return protocol

    async def _serve_on(self, seconds: float) -> None:
        """Serve for some seconds; a second SIGINT ends the wait at once."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends and not self.force_exit:
            await self.on_tick(0)
            await asyncio.sleep(_TICK_SECONDS)
