"""Health check of the container: exit code 0 when the service answers 200 on /health, else 1.

Docker runs this every few seconds beside a model that wants every CPU, so it imports nothing but
sockets, and runs as a script: a Python without its site packages starts in some 10 ms.
"""

import os
import socket
import sys

TIMEOUT_SECONDS = 4


def ask(port: int) -> str:
    """The whole answer to GET /health; raises OSError when there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    return answer.decode(errors="replace")


def main() -> int:
    try:
        answer = ask(int(os.environ.get("PORT") or "8000"))
    except OSError as error:
        print(f"no answer: {error}")
        return 1
    status, _, body = answer.partition("\r\n")[0], "", answer.rpartition("\r\n\r\n")[2]
    # Docker keeps what is printed, and shows it in `docker inspect`.
    print(body[:500])
    return 0 if status.split(" ")[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main())
