"""The health check of the image: `python3 -S -m monitor.healthcheck`.

It runs every few seconds on half a processor: reading the settings, as the monitor does, would
take longer than the engine waits on a busy machine. Hence nothing but a socket.
"""

import socket
import sys

ADDRESS = ("127.0.0.1", 8090)
TIMEOUT = 3.0  # seconds


def answers() -> bool:
    """Whether the monitor's own /health says that it works."""
    try:
        with socket.create_connection(ADDRESS, timeout=TIMEOUT) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return connection.recv(64).split(b" ", 2)[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not answers())
