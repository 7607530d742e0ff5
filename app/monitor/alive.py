"""The container's health check: `python3 -IS alive.py` asks the monitor beside it for /health.

It runs twice a minute for ever, so it imports next to nothing.
"""

import json
import os
import socket
import sys

DEFAULT_CONFIG = "/run/config/monitor.json"
DEFAULT_PORT = 8090


def port() -> int:
    """The port that the monitor was told to listen on."""
    try:
        with open(os.environ.get("MONITOR_CONFIG", DEFAULT_CONFIG), "rb") as file:
            return int(json.load(file).get("port", DEFAULT_PORT))
    except FileNotFoundError:
        return DEFAULT_PORT


def main() -> int:
    """0 if the monitor says that it works; what it says goes to the health log."""
    try:
        with socket.create_connection(("127.0.0.1", port()), timeout=4) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            with connection.makefile("rb") as answer:
                head, _, body = answer.read(4096).partition(b"\r\n\r\n")
    except OSError as error:
        print(f"the monitor does not answer: {error}")
        return 1
    print(body.decode())
    return 0 if b" 200 " in head[:20] else 1


if __name__ == "__main__":
    sys.exit(main())
