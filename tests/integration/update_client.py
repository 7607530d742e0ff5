"""Clients of a chat on its network while it is being updated; runs in a container of the chat image.

Arguments: the host and port of the chat. Each kind of client asks every 50 ms, over a connection
that it keeps or over a fresh one; others hold a long stream each, one after the other. SIGTERM ends
them all; the last line on standard output is what they saw, as JSON. Nothing is tried again, except
that a connection which the server has said it closes is not used again, as HTTP demands.
"""

import http.client
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PAUSE_SECONDS = 0.05
STREAM_TOKENS = 2500
STREAMS = 2
TINY = {"model": "phi-3-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
LONG = {**TINY, "max_tokens": STREAM_TOKENS, "ignore_eos": True, "stream": True}

Connect = Callable[[], http.client.HTTPConnection]
over = threading.Event()


class Tally:
    """What one client saw."""

    def __init__(self) -> None:
        self.sent = 0
        self.failures: list[str] = []
        self.longest = 0.0

    def fail(self, what: object) -> None:
        self.failures.append(f"{time.time():.2f} {what!r}"[:300])


def ask(tally: Tally, connect: Connect, *, keep: bool, body: dict[str, Any] | None) -> None:
    """Ask until it is over."""
    connection = connect()
    while not over.is_set():
        began = time.monotonic()
        tally.sent += 1
        try:
            if body is None:
                connection.request("GET", "/health")
            else:
                connection.request("POST", "/v1/chat/completions", json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200 or b'"error"' in content:
                tally.fail((answer.status, content))
        except (OSError, http.client.HTTPException) as error:
            tally.fail(error)
            connection.close()
        if not keep:
            connection.close()
            connection = connect()
        tally.longest = max(tally.longest, time.monotonic() - began)
        over.wait(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))


def stream(seen: list[dict[str, Any]], connect: Connect) -> None:
    """Hold one long stream after the other; each is told with its times and its end."""
    while not over.is_set():
        connection, began = connect(), time.time()
        events, end = 0, b""
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(LONG))
            for line in connection.getresponse():
                if line.startswith(b"data:"):
                    events, end = events + 1, line.strip()
        except (OSError, http.client.HTTPException) as error:
            end = repr(error).encode()
        connection.close()
        complete = end == b"data: [DONE]" and events > STREAM_TOKENS * 0.9
        told = "" if complete else end.decode(errors="replace")[:300]
        seen.append(
            {"began": began, "ended": time.time(), "complete": complete, "events": events}
            | ({"end": told} if told else {})
        )


def main(host: str, port: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: over.set())

    def connect() -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, int(port), timeout=60)

    tallies = {
        f"{what}, {'kept' if keep else 'fresh'} connections": (Tally(), keep, body)
        for what, body in (("/health", None), ("completion", TINY))
        for keep in (True, False)
    }
    streams: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=ask, args=(tally, connect), kwargs={"keep": keep, "body": body})
        for tally, keep, body in tallies.values()
    ]
    threads += [threading.Thread(target=stream, args=(streams, connect)) for _ in range(STREAMS)]
    for thread in threads:
        thread.start()
    print("asks", flush=True)
    for thread in threads:
        thread.join()
    requests = {
        name: {
            "sent": t.sent,
            "failed": len(t.failures),
            "how": t.failures[:5],
            "longest": t.longest,
        }
        for name, (t, _, _) in tallies.items()
    }
    print(json.dumps({"requests": requests, "streams": streams}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
