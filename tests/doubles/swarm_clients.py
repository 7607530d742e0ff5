"""A client in the Swarm: sends a request every 50 ms and always has open streams.

Runs as a service from the chat's image, with its Python and aiohttp. Prints a line of JSON for each
answer: time of the request, kind, duration, problem; and one of kind "began" for each stream that it
opens.
"""

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp

URL = "http://chat-interface:8080/v1/chat/completions"
PAUSE = 0.05
STREAMS = 2
# Well below the 20 s in which a stopped chat drains its streams.
STREAM_SECONDS = 8
MESSAGES = [{"role": "user", "content": "Say something."}]
# Much more than an answer takes: a busy machine is not a failure.
TIMEOUT = aiohttp.ClientTimeout(total=30)


def session() -> aiohttp.ClientSession:
    """A session with a new connection and a new DNS lookup for each request."""
    connector = aiohttp.TCPConnector(force_close=True, use_dns_cache=False, limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=TIMEOUT)


async def ask(client: aiohttp.ClientSession) -> str:
    """Request one short answer; return the problem, or an empty text."""
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 1}
    async with client.post(URL, json=body) as answer:
        text = await answer.text()
        return "" if answer.status == 200 else f"{answer.status}: {text[:200]}"


async def stream(client: aiohttp.ClientSession) -> str:
    """Read one long answer until it ends or STREAM_SECONDS have passed."""
    body = {"model": "slow", "messages": MESSAGES, "stream": True}
    body |= {"max_tokens": 1900, "ignore_eos": True}
    last, until = b"", time.monotonic() + STREAM_SECONDS
    async with client.post(URL, json=body) as answer:
        if answer.status != 200:
            return f"{answer.status}: {(await answer.text())[:200]}"
        async for line in answer.content:
            last = line.strip() or last
            if b'"error"' in line:
                return line.decode()[:200]
            if time.monotonic() > until:
                return ""
    return "" if last == b"data: [DONE]" else f"ended with {last[:100]!r}"


async def report(kind: str, client: aiohttp.ClientSession, send: Any) -> None:
    asked = time.time()
    try:
        problem = await send(client)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        problem = f"{type(error).__name__}: {error}"
    took = time.time() - asked
    record = {"asked": asked, "kind": kind, "seconds": round(took, 3), "problem": problem}
    print(json.dumps(record), flush=True)


async def stream_forever(client: aiohttp.ClientSession) -> None:
    while True:
        record = {"asked": time.time(), "kind": "began", "seconds": 0, "problem": ""}
        print(json.dumps(record), flush=True)
        await report("stream", client, stream)
        await asyncio.sleep(PAUSE)


async def main() -> None:
    async with session() as client, asyncio.TaskGroup() as tasks:
        for _ in range(STREAMS):
            tasks.create_task(stream_forever(client))
        while True:
            tasks.create_task(report("request", client, ask))
            await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
