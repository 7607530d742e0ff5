"""Load clients that read streams with little CPU time, so that they measure the server.

Runs as a separate process (`python -m benchmarks.gateway_load`) and prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

_STREAM_END = b"0\r\n\r\n"
_PATIENCE_SECONDS = 60.0


@dataclass
class Tally:
    """Results of all clients of one run."""

    first_token_ms: list[float] = field(default_factory=list)
    chunks: int = 0
    answers: int = 0
    failures: int = 0
    first_start: float = 0.0
    last_end: float = 0.0


class _Client(asyncio.Protocol):
    """One connection, reused for sequential requests."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not subclass asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> None:
        self._done = self._loop.create_future()
        self._waits = True
        self._tail = b""
        self._started = time.perf_counter()
        self._transport.write(request)
        await asyncio.wait_for(self._done, _PATIENCE_SECONDS)

    def data_received(self, data: bytes) -> None:
        self._tally.chunks += data.count(b"data: {")
        if self._waits and b"data: {" in data:
            self._waits = False
            waited = time.perf_counter() - self._started
            self._tally.first_token_ms.append(waited * 1000)
        self._tail = (self._tail + data)[-64:]
        if self._tail.endswith(_STREAM_END) and self._done is not None:
            if b"[DONE]" in self._tail:
                self._tally.answers += 1
            else:
                self._tally.failures += 1
            if not self._done.done():
                self._done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError("closed"))

    def close(self) -> None:
        self._transport.close()


async def run(port: int, streams: int, tokens: int, seconds: float, spread: float) -> Tally:
    """Keep `streams` answers running for `seconds`, the first starts spread over `spread`."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    request = _request(port, tokens)
    begin = loop.time() + 0.2

    async def stream(number: int) -> None:
        await asyncio.sleep(begin - loop.time() + random.random() * spread)
        client: _Client | None = None
        while loop.time() < begin + seconds:
            try:
                if client is None:
                    _, client = await loop.create_connection(
                        lambda: _Client(tally), "127.0.0.1", port
                    )
                await client.ask(request)
            except (OSError, TimeoutError):
                tally.failures += 1
                client = None
            tally.last_end = loop.time()
        if client is not None:
            client.close()

    tally.first_start = begin
    await asyncio.gather(*(stream(number) for number in range(streams)))
    return tally


def _request(port: int, tokens: int) -> bytes:
    message = {"role": "user", "content": "Tell me about the sea. " * 20}
    body = json.dumps(
        {
            "model": "bench",
            "messages": [message],
            "stream": True,
            "max_tokens": tokens,
            "ignore_eos": True,
        }
    ).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
        b"authorization: Bearer sk-bench\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (port, len(body), body)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--spread", type=float, required=True)
    options = parser.parse_args()
    tally = uvloop.run(run(**vars(options)))
    duration = tally.last_end - tally.first_start
    print(
        json.dumps(
            {
                "first_token_ms": sorted(tally.first_token_ms),
                "tokens_per_second": tally.chunks / duration,
                "chunks": tally.chunks,
                "answers": tally.answers,
                "failures": tally.failures,
            }
        )
    )


if __name__ == "__main__":
    main()
