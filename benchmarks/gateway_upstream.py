"""A fake model server with little CPU time: streams fixed tokens at a set rate.

Runs as a separate process (`python -m benchmarks.gateway_upstream`), prints its port, and exits
when its standard input closes. It implements only the HTTP that the benchmark's clients use.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n" + b'{"status":"ok"}'
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
    payload = {
        "choices": [{"finish_reason": finish, "index": 0, "delta": delta}],
        "created": 1795443069,
        "id": "chatcmpl-VwZ4pGRtXK0Gq0Yb7vJvY8h1Q2jT3kLm",
        "model": "bench",
        "system_fingerprint": "b7000-0000000",
        "object": "chat.completion.chunk",
        **more,
    }
    return _http_chunk(b"data: " + json.dumps(payload).encode() + b"\n\n")


_TOKEN = _event({"content": " token"})
_FIRST = _event({"role": "assistant", "content": " first"})


def _last(tokens: int) -> bytes:
    timings = {"prompt_n": 5, "predicted_n": tokens, "predicted_per_second": 50.0}
    end = _event({}, "stop", timings=timings)
    return end + _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._received = b""
        self._left = 0
        self._paused = False
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not subclass asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._left and self._timer is None:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or (length is not None and len(body) < int(length[1])):
            return
        self._received = b""
        if head.startswith(b"GET"):
            self._transport.write(_HEALTHY)
            return
        self._tokens = json.loads(body)["max_tokens"]
        self._left = self._tokens - 1
        self._transport.write(_HEAD + _FIRST)
        self._next = self._loop.time()
        self._wait()

    def _wait(self) -> None:
        if self._interval:
            self._next += self._interval
            self._timer = self._loop.call_at(self._next, self._go_on)
        else:
            self._timer = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        if self._paused:
            return
        self._left -= 1
        if self._left > 0:
            self._transport.write(_TOKEN)
            self._wait()
        else:
            self._transport.write(_last(self._tokens))


async def _serve(interval: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(interval), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(float(sys.argv[1])))
