"""A client inside the Swarm: asks the chat every 50 ms, and always has long answers streaming.

Runs as a service of the tests' own from the chat's image, whose Python and aiohttp it uses. Prints a
line of JSON for each answer: when it was asked for, what kind, how long it took, what went wrong; and
one of kind "began" for each stream that it opens.
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
# Well below the 20 s that a stopped chat gives its streams.
STREAM_SECONDS = 8
MESSAGES = [{"role": "user", "content": "Say something."}]
# Much more than an answer takes: a busy machine is no failure.
PATIENCE = aiohttp.ClientTimeout(total=30)


def session() -> aiohttp.ClientSession:
    """A connection for each request, to an address that was looked up for it."""
    connector = aiohttp.TCPConnector(force_close=True, use_dns_cache=False, limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=PATIENCE)


async def ask(client: aiohttp.ClientSession) -> str:
    """One short answer; returns what is wrong with it."""
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 1}
    async with client.post(URL, json=body) as answer:
        text = await answer.text()
        return "" if answer.status == 200 else f"{answer.status}: {text[:200]}"


async def stream(client: aiohttp.ClientSession) -> str:
    """One long answer, as long as it lasts or is wanted."""
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


async def told(kind: str, client: aiohttp.ClientSession, question: Any) -> None:
    asked = time.time()
    try:
        problem = await question(client)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        problem = f"{type(error).__name__}: {error}"
    took = time.time() - asked
    record = {"asked": asked, "kind": kind, "seconds": round(took, 3), "problem": problem}
    print(json.dumps(record), flush=True)


async def stream_on(client: aiohttp.ClientSession) -> None:
    while True:
        record = {"asked": time.time(), "kind": "began", "seconds": 0, "problem": ""}
        print(json.dumps(record), flush=True)
        await told("stream", client, stream)
        await asyncio.sleep(PAUSE)


async def main() -> None:
    async with session() as client, asyncio.TaskGroup() as tasks:
        for _ in range(STREAMS):
            tasks.create_task(stream_on(client))
        while True:
            tasks.create_task(told("request", client, ask))
            await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
