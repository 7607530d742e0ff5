"""CPU time of reading streams with aiohttp and with httpx: `python -m benchmarks.gateway_clients`.

The gateway's HTTP client for model servers was chosen by this benchmark. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import httpx
import uvloop

from benchmarks.gateway import fake_server

TOKENS = 100
_BODY = {"model": "bench", "messages": [], "stream": True, "max_tokens": TOKENS}

Read = Callable[[str], Awaitable[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pace", type=float, default=50.0, help="tokens/s per stream")
    options = parser.parse_args()
    print("| client | CPU ms per 1000 chunks |\n|---|---:|")
    with fake_server(1 / options.pace) as port:
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        for name, measure in (("aiohttp", _with_aiohttp), ("httpx", _with_httpx)):
            cost = uvloop.run(measure(url, options.streams, options.rounds))
            print(f"| {name} | {cost:.1f} |", flush=True)


async def _with_aiohttp(url: str, streams: int, rounds: int) -> float:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def read(url: str) -> int:
            chunks = 0
            async with session.post(url, json=_BODY) as response:
                while chunk := await response.content.readany():
                    chunks += chunk.count(b"data: {")
            return chunks

        return await _cost(read, url, streams, rounds)


async def _with_httpx(url: str, streams: int, rounds: int) -> float:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def read(url: str) -> int:
            chunks = 0
            async with client.stream("POST", url, json=_BODY) as response:
                async for chunk in response.aiter_raw():
                    chunks += chunk.count(b"data: {")
            return chunks

        return await _cost(read, url, streams, rounds)


async def _cost(read: Read, url: str, streams: int, rounds: int) -> float:
    """CPU milliseconds of this process per thousand chunks."""
    await asyncio.gather(*(read(url) for _ in range(streams)))
    before = time.process_time()
    chunks = 0
    for _ in range(rounds):
        chunks += sum(await asyncio.gather(*(read(url) for _ in range(streams))))
    return (time.process_time() - before) * 1e6 / chunks


if __name__ == "__main__":
    main()
