"""Health check of the container: `python3 -IS alive.py` exits with 0 if /health answers 200.

Not app/shared/health_check.py: this image holds only the restarter, whose port is in its settings
file. Docker runs the check twice a minute, so it imports little.
"""

import json
import os
import socket
import sys

DEFAULT_CONFIG = "/run/config/restarter.json"
DEFAULT_PORT = 8070
TIMEOUT_SECONDS = 4


def port() -> int:
    """The port in the restarter's configuration."""
    try:
        with open(os.environ.get("RESTARTER_CONFIG", DEFAULT_CONFIG), "rb") as file:
            return int(json.load(file).get("port", DEFAULT_PORT))
    except FileNotFoundError:
        return DEFAULT_PORT


def main() -> int:
    """Print the response's body, which Docker keeps for `docker inspect`; returns the exit code."""
    try:
        with socket.create_connection(("127.0.0.1", port()), TIMEOUT_SECONDS) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            with connection.makefile("rb") as response:
                head, _, body = response.read(4096).partition(b"\r\n\r\n")
    except OSError as error:
        print(f"no answer: {error}")
        return 1
    print(body.decode())
    return 0 if b" 200 " in head[:20] else 1


if __name__ == "__main__":
    sys.exit(main())
