"""Shares of four API keys in a gateway with ten times its load: `python -m benchmarks.overload`.

A fake model server with few slots; three keys with the same number of clients, and one greedy key
with ten times as many. Each client sends its next request as soon as it has an answer or a refusal,
without the wait that the refusal asks for. Prints the answers of each key as a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

from app.chat.access.keys import new_key
from benchmarks.gateway_targets import fake_server, gateway

TOKENS_PER_SECOND = 50.0
KEYS = ("anna", "ben", "carl", "greedy")
GREEDY_TIMES = 10
# A client that ignores Retry-After still needs some time.
PAUSE_SECONDS = 0.05
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass
class Tally:
    """What the clients of all keys received."""

    answers: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


class Connection(asyncio.Protocol):
    """One connection for sequential requests; httpx would need more time than the gateway."""

    def __init__(self) -> None:
        self._received = b""
        self._status: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not subclass asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> int:
        """The status of the response, once it is complete."""
        self._received = b""
        self._status = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._status

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, complete, body = self._received.partition(b"\r\n\r\n")
        if not complete or self._status is None or self._status.done():
            return
        length = LENGTH.search(head)
        if body.endswith(b"0\r\n\r\n") if length is None else len(body) >= int(length[1]):
            self._status.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._status is not None and not self._status.done():
            self._status.set_exception(error or ConnectionError("closed"))

    def close(self) -> None:
        self._transport.close()


def request_of(key: str, tokens: int) -> bytes:
    """A whole HTTP request with a key."""
    message = {"role": "user", "content": "Tell me about the sea."}
    fields = {"model": "bench", "messages": [message], "stream": True, "max_tokens": tokens}
    body = json.dumps(fields).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        b"content-type: application/json\r\nauthorization: Bearer %b\r\n"
        b"content-length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
    )


async def load(port: int, secrets: dict[str, str], options: argparse.Namespace) -> Tally:
    """Run all clients for a while; count after a settling time."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    begins = loop.time() + options.settle
    ends = begins + options.seconds

    async def client(key: str) -> None:
        request = request_of(secrets[key], options.tokens)
        connection: Connection | None = None
        while loop.time() < ends:
            counter = tally.failures
            try:
                if connection is None:
                    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
                status = await connection.ask(request)
                counter = tally.answers if status == 200 else counter
                counter = tally.refusals if status in (429, 503) else counter
            except OSError:
                connection = None
            if begins <= loop.time() < ends:
                counter[key] += 1
            if counter is not tally.answers:
                await asyncio.sleep(PAUSE_SECONDS)
        if connection is not None:
            connection.close()

    counts = {key: options.clients * (GREEDY_TIMES if key == "greedy" else 1) for key in KEYS}
    await asyncio.gather(*(client(key) for key in KEYS for _ in range(counts[key])))
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--clients", type=int, default=20, help="of each key but the greedy one")
    parser.add_argument("--tokens", type=int, default=20, help="per answer")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--settle", type=float, default=5.0)
    options = parser.parse_args()
    made = {name: new_key(name) for name in KEYS}
    with tempfile.TemporaryDirectory() as folder:
        keys = [record.model_dump(exclude_none=True) for _, record in made.values()]
        Path(folder, "api_keys.json").write_text(json.dumps({"keys": keys}, default=str))
        with (
            fake_server(1 / TOKENS_PER_SECOND) as server,
            gateway(f"http://127.0.0.1:{server}", options.slots, Path(folder)) as target,
        ):
            secrets = {name: key for name, (key, _) in made.items()}
            tally = uvloop.run(load(target.port, secrets, options))
    print(_table(tally))


def _table(tally: Tally) -> str:
    equal = tally.answers.total() / len(KEYS) or 1
    rows = [
        f"| {key} | {tally.answers[key]} | {tally.answers[key] / equal:.1%} | "
        f"{tally.refusals[key]} | {tally.failures[key]} |"
        for key in KEYS
    ]
    head = ["| key | answers | of an equal share | refused | failed |", "|---|---:|---:|---:|---:|"]
    return "\n".join([*head, *rows])


if __name__ == "__main__":
    main()
