"""Health check of a container: `health_check.py DEFAULT_PORT` exits with 0 if /health returns 200.

Docker runs it twice a minute, also while a model server uses every CPU. So it imports little, and
runs as a script without site packages (`python3 -IS`), which starts in some 10 ms.
"""

import os
import socket
import sys

TIMEOUT_SECONDS = 4.0
LONGEST_OUTPUT = 500


def ask(port: int) -> tuple[bool, str]:
    """Whether GET /health on this port returned 200, and the body; raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        response = b""
        while len(response) < 4096 and (chunk := connection.recv(4096)):
            response += chunk
    head, _, body = response.partition(b"\r\n\r\n")
    return head.split(b" ", 2)[1:2] == [b"200"], body.decode(errors="replace")


def main(default_port: str) -> int:
    """Print the body, which Docker keeps for `docker inspect`; returns the exit code."""
    try:
        healthy, body = ask(int(os.environ.get("PORT") or default_port))
    except OSError as error:
        print(f"no answer: {error}")
        return 1
    print(body[:LONGEST_OUTPUT])
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
