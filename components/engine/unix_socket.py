"""Requests to an engine over its Unix socket, without Docker's client, which is slow to import."""

from __future__ import annotations

import http.client
import socket

# Seconds. Where no engine listens, the connection is refused at once.
ANSWER_TIMEOUT = 20


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(path: str, request: str) -> bytes | None:
    """The body of the answer to a GET request; None for an answer other than 200.

    Raises `OSError` or `http.client.HTTPException` where no engine answers.
    """
    connection = _SocketConnection(path)
    try:
        # Without a version in the path, an engine of any age answers in its own.
        connection.request("GET", request)
        answer = connection.getresponse()
        body = answer.read()
        return body if answer.status == 200 else None
    finally:
        connection.close()
