"""Clients with a constant load on a gateway; run in a stack's network, standard library only.

`python3 steady_clients.py URL MODEL TOKENS` sends requests until SIGTERM, and streams of so many tokens,
with the API key in API_KEY if it is set. Then it waits for what it has begun, at most LAST_SECONDS, and
prints one JSON document with every request and every stream. It does not retry, so that every lost
request is recorded; only when it cannot connect, it tries the name's next IP address, as most do.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
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
CONNECT_SECONDS = 5
TIMEOUT_SECONDS = 120
LAST_SECONDS = 90
HEADERS = {"content-type": "application/json"}
if "API_KEY" in os.environ:
    HEADERS["authorization"] = f"Bearer {os.environ['API_KEY']}"

stopped = threading.Event()


class Connection(http.client.HTTPConnection):
    """A connection with a shorter timeout for connecting than for responses."""

    def connect(self) -> None:
        self.sock = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(TIMEOUT_SECONDS)


class Clients:
    """Threads that share only the lists of results."""

    def __init__(self, url: str, model: str, tokens: str) -> None:
        address = urlsplit(url)
        self._tokens = int(tokens)
        self._open: set[Connection] = set()
        self._host, self._port = address.hostname or "", address.port or 80
        self._model = model
        self._server = self._host
        self.requests: list[dict[str, Any]] = []
        self.streams: list[dict[str, Any]] = []

    def run(self, stop: Callable[[], object]) -> None:
        """Send requests until `stop` returns, and wait for those that are running."""
        work: list[Callable[[], None]] = [
            lambda kind=kind, fresh=fresh: self._request_steadily(kind, fresh)  # type: ignore[misc]
            for kind, fresh in itertools.product(("health", "completion"), (False, True))
        ]
        work += [self._stream_steadily] * STREAMS
        threads = [threading.Thread(target=task) for task in work]
        for thread in threads:
            thread.start()
        stop()
        stopped.set()
        ends = time.monotonic() + LAST_SECONDS
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        for connection in [*self._open]:
            # Its thread records that the answer is incomplete.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def _sticky_connection(self) -> Connection:
        """A connection to the previous server while it accepts connections, else to another one."""
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

    def _body(self, prompt: str, **more: object) -> bytes:
        messages = [{"role": "user", "content": prompt}]
        return json.dumps({"model": self._model, "messages": messages, **more}).encode()

    def _request_steadily(self, kind: str, fresh: bool) -> None:
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
        """Send one request; return the failure, or None."""
        self._open.add(connection)
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
        finally:
            self._open.discard(connection)
        return None

    def _post(self, connection: Connection, prompt: str, **more: object) -> None:
        body = self._body(prompt, **more)
        connection.request("POST", "/v1/chat/completions", body, HEADERS)

    def _stream_steadily(self) -> None:
        while not stopped.is_set():
            stream: dict[str, Any] = {"begun": time.time()}
            connection = self._connection()
            try:
                connection = self._sticky_connection()
                self._open.add(connection)
                # Each prompt is unique, so that the gateway prefers no replica.
                prompt = f"Say something at {stream['begun']}."
                length = {"max_tokens": self._tokens, "ignore_eos": True}
                self._post(connection, prompt, stream=True, **length)
                stream["server"] = connection.sock.getpeername()[0]
                answer = connection.getresponse()
                stream["request_id"] = answer.headers["x-request-id"]
                content = answer.read()
                if not content.endswith(b"data: [DONE]\n\n") or b'"error"' in content:
                    stream["failure"] = f"{answer.status} …{content[-300:]!r}"
            except (OSError, http.client.HTTPException) as error:
                stream["failure"] = repr(error)
            finally:
                self._open.discard(connection)
                connection.close()
            stream["ended"] = time.time()
            self.streams.append(stream)


def main() -> None:
    # Blocked before any thread starts: the signal is for `sigwait`, whenever it arrives.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    clients = Clients(*sys.argv[1:])
    clients.run(lambda: signal.sigwait({signal.SIGTERM}))
    print(json.dumps({"requests": clients.requests, "streams": clients.streams}))


if __name__ == "__main__":
    main()
