"""How soon a slot is free after a disconnect: `python -m benchmarks.gateway_stop ADDRESS`.

ADDRESS is a llama-server with `/slots`, for example http://127.0.0.1:8000. The gateway runs in
front of it as a separate process; clients disconnect during a streamed answer, during an answer
without streaming, and while a long prompt is processed. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import aiohttp

from benchmarks.gateway_targets import gateway

_POLL_SECONDS = 0.002
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Departure:
    """A disconnecting client: its request, and when it disconnects."""

    name: str
    streams: bool
    prompt_words: int
    after_first_token: bool


DEPARTURES = (
    Departure("a stream, after its first token", True, 5, True),
    Departure("an answer without streaming", False, 5, False),
    Departure("a stream, while its prompt is processed", True, 300, False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    with gateway(options.address) as target:
        asyncio.run(_measure(options.address, f"http://127.0.0.1:{target.port}", options.times))


async def _measure(server: str, through: str, times: int) -> None:
    print("| client disconnects from | slot free after, ms: median | max |\n|---|---:|---:|")
    async with aiohttp.ClientSession() as session:
        for departure in DEPARTURES:
            waits = [
                await _leave(session, server, through, departure, number) for number in range(times)
            ]
            print(f"| {departure.name} | {median(waits):.0f} | {max(waits):.0f} |", flush=True)


async def _leave(
    session: aiohttp.ClientSession, server: str, through: str, departure: Departure, number: int
) -> float:
    first_token = asyncio.Event()

    async def ask() -> None:
        words = "word " * departure.prompt_words
        body: dict[str, Any] = {
            "model": "bench",
            # The number makes the prompt unique, so that the prompt cache is not used.
            "messages": [{"role": "user", "content": f"{number} {words}"}],
            "stream": departure.streams,
            "ignore_eos": True,
            "max_tokens": 1000,
        }
        async with session.post(f"{through}/v1/chat/completions", json=body) as response:
            response.raise_for_status()
            async for piece in response.content.iter_any():
                if b"data:" in piece:
                    first_token.set()

    client = asyncio.create_task(ask())
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await _until_busy(session, server, True)
        if departure.after_first_token:
            await first_token.wait()
        client.cancel()
        left = time.perf_counter()
        await _until_busy(session, server, False)
    return (time.perf_counter() - left) * 1000


async def _until_busy(session: aiohttp.ClientSession, server: str, wanted: bool) -> None:
    while True:
        async with session.get(f"{server}/slots") as response:
            slots = await response.json()
        if any(slot["is_processing"] for slot in slots) is wanted:
            return
        await asyncio.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
