"""Clients of a gateway that never pause: run inside a stack's network, on the standard library only.

`python3 steady_clients.py URL MODEL` asks until it gets SIGTERM, lets its streams end, and prints
one JSON document: every request, and every long stream. It tries nothing twice, so that what a
server loses is seen. Only where it cannot connect, it takes the name's next address, as most do.
"""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

EVERY_SECONDS = 0.05
STREAMS = 4
STREAM_TOKENS = 800
CONNECT_SECONDS = 5
TIMEOUT_SECONDS = 120

stopped = threading.Event()


class Connection(http.client.HTTPConnection):
    """Gives an address that says nothing less time than an answer."""

    def connect(self) -> None:
        self.sock = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(TIMEOUT_SECONDS)


class Clients:
    """Threads that share nothing but the lists of what they saw."""

    def __init__(self, url: str, model: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._model = model
        self._server = self._host
        self.requests: list[dict[str, Any]] = []
        self.streams: list[dict[str, Any]] = []

    def run(self) -> None:
        work: list[Callable[[], None]] = [
            lambda kind=kind, fresh=fresh: self._ask_steadily(kind, fresh)  # type: ignore[misc]
            for kind, fresh in itertools.product(("health", "completion"), (False, True))
        ]
        work += [self._stream_steadily] * STREAMS
        threads = [threading.Thread(target=task) for task in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _loyal_connection(self) -> Connection:
        """To the server that was reached before, for as long as it takes connections."""
        connection = Connection(self._server, self._port)
        try:
            connection.connect()
        except OSError:
            connection = self._connection()
            connection.connect()
        self._server = connection.sock.getpeername()[0]
        return connection

    def _connection(self) -> Connection:
        return Connection(self._host, self._port)

    def _body(self, words: str, **more: object) -> bytes:
        messages = [{"role": "user", "content": words}]
        return json.dumps({"model": self._model, "messages": messages, **more}).encode()

    def _ask_steadily(self, kind: str, fresh: bool) -> None:
        connection = self._connection()
        while not stopped.is_set():
            if fresh:
                connection = self._connection()
            begun = time.time()
            failure = self._ask(connection, kind)
            self.requests.append(
                {"kind": kind, "fresh": fresh, "begun": begun, "ended": time.time()}
                | ({"failure": failure} if failure else {})
            )
            if fresh or failure:
                connection.close()
            stopped.wait(max(0.0, begun + EVERY_SECONDS - time.time()))

    def _ask(self, connection: Connection, kind: str) -> str | None:
        """Why it failed, or None."""
        try:
            if kind == "health":
                connection.request("GET", "/health")
            else:
                self._post(connection, "Say something.", max_tokens=1)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200 or b'"error"' in content:
                return f"{answer.status} {content[:300]!r}"
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        return None

    def _post(self, connection: Connection, words: str, **more: object) -> None:
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", self._body(words, **more), headers)

    def _stream_steadily(self) -> None:
        while not stopped.is_set():
            stream: dict[str, Any] = {"begun": time.time()}
            connection = self._loyal_connection()
            try:
                # No two conversations are the same, so that no replica is preferred.
                words = f"Say something at {stream['begun']}."
                length = {"max_tokens": STREAM_TOKENS, "ignore_eos": True}
                self._post(connection, words, stream=True, **length)
                stream["server"] = connection.sock.getpeername()[0]
                answer = connection.getresponse()
                stream["request_id"] = answer.headers["x-request-id"]
                content = answer.read()
                if not content.endswith(b"data: [DONE]\n\n") or b'"error"' in content:
                    stream["failure"] = f"{answer.status} …{content[-300:]!r}"
            except (OSError, http.client.HTTPException) as error:
                stream["failure"] = repr(error)
            finally:
                connection.close()
            stream["ended"] = time.time()
            self.streams.append(stream)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    clients = Clients(*sys.argv[1:])
    clients.run()
    print(json.dumps({"requests": clients.requests, "streams": clients.streams}))


if __name__ == "__main__":
    main()
