"""Runs the features of a client, one for each line on stdin, and prints its result as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"yes": {"type": "boolean"}},
    "required": ["yes"],
    "additionalProperties": False,
}
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Asked:
    """What a feature asks: of which gateway and model, and the user's message."""

    url: str
    model: str
    text: str
    most_tokens: int


Feature = Callable[[Asked], Awaitable[Any]]


def run(features: Mapping[str, Feature]) -> None:
    """Serve stdin until it ends. Whatever the client prints goes to stderr."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    async def serve() -> None:
        # The event loop goes on between the features, as in a program of a user.
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            feature = features[command.pop("feature")]
            result = await _result(feature, Asked(**command))
            print(json.dumps(result), file=results, flush=True)

    asyncio.run(serve())


async def _result(feature: Feature, asked: Asked) -> dict[str, Any]:
    try:
        return {"value": await feature(asked)}
    # Every exception of a client is a result, which the test compares.
    except Exception as error:
        classes = [one.__name__ for one in type(error).__mro__]
        return {"error": {"classes": classes, "text": f"{type(error).__name__}: {error}"}}


async def cancelled(chunks: Awaitable[AsyncIterable[Any]]) -> int:
    """Cancel the task that reads a stream, after its first chunk."""
    seen = asyncio.Event()

    async def read() -> None:
        async for _ in await chunks:
            seen.set()

    task = asyncio.create_task(read())
    first = asyncio.create_task(seen.wait())
    await asyncio.wait((task, first), return_when=asyncio.FIRST_COMPLETED)
    first.cancel()
    if task.done():
        task.result()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return int(seen.is_set())
