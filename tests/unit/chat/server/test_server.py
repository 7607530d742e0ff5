"""Graceful shutdown of the gateway's HTTP server, up to the last connection."""

import asyncio
import contextlib
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.chat.server.server import Server, connections_waiting, server_config
from tests.ports import free_port

HELLO = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
ASKED = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class WithALateClient(Server):
    """A client connects just before the server closes its listening socket."""

    late: socket.socket | None = None

    async def _serve_on(self, seconds: float) -> None:
        if self.late is None:
            (listener,) = self.servers[0].sockets
            self.late = socket.create_connection(listener.getsockname(), timeout=10)
            self.late.sendall(ASKED)
            return
        await super()._serve_on(seconds)


async def test_a_client_that_connects_just_before_the_server_closes_gets_a_response() -> None:
    port = free_port()
    server = WithALateClient(server_config(HELLO, "127.0.0.1", port, 5), handover_seconds=1)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    await server.shutdown()
    assert server.late is not None
    with server.late as late:
        answer = await asyncio.to_thread(late.recv, 1000)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_every_connection_in_the_backlog_is_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(socket.create_connection(listener.getsockname(), timeout=10))
        waiting = [*connections_waiting(listener)]
        for connection in waiting:
            connection.close()
    assert len(waiting) == 3
