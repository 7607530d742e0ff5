"""Asks the running gateway whether it lives: `python3 -S -m chat.healthcheck`.

Runs every few seconds in each container, so it imports nothing but the socket module: an HTTP
library alone would double its cost.
"""

import os
import socket
import sys

_ADDRESS = ("127.0.0.1", int(os.environ.get("PORT", "8080")))
_TIMEOUT_SECONDS = 3.0


def healthy() -> bool:
    try:
        with socket.create_connection(_ADDRESS, timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(
                b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            return connection.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if healthy() else 1)
