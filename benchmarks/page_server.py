"""The gateway with the built page, and a fake model: `python -m benchmarks.page_server DIST`.

The question chooses the answer: `stream KIND COUNT RATE` streams a text of `page_texts` at RATE
tokens per second. Prints the gateway's URL, and exits when its standard input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from app.chat.settings import GatewaySettings
from benchmarks.child import running_module
from benchmarks.page_texts import pieces
from tests.doubles.model_server import ModelServer, ReceivedRequest, chunk
from tests.doubles.running_gateway import running

MODEL = "alpha"


@contextlib.contextmanager
def page_server(dist: Path) -> Iterator[str]:
    """The URL of the gateway, in a process of its own."""
    with running_module("benchmarks.page_server", str(dist)) as url:
        yield url


async def _stream(received: ReceivedRequest) -> web.StreamResponse:
    question = str(received.body["messages"][-1]["content"])
    answer, rate = ["A title"], 1000.0
    if question.startswith("stream "):
        _, kind, count, per_second = question.split()
        answer, rate = pieces(kind, int(count)), float(per_second)
    response = await received.stream()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number, piece in enumerate(answer):
        # Against the start, so that delays do not add up.
        await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
        await response.write(chunk({"content": piece}, model=MODEL))
    usage = {"prompt_tokens": 7, "completion_tokens": len(answer)}
    await response.write(chunk({}, "stop", model=MODEL, usage=usage))
    await response.write(b"data: [DONE]\n\n")
    return response


async def _serve(dist: Path) -> None:
    model = ModelServer()
    model.behaviour = _stream
    await model.start()
    described = {"id": MODEL, "slots": 4, "replicas": [model.url], "context": 32768}
    configuration = GatewaySettings.model_validate({"models": [described]})
    async with running(configuration, web_root=dist) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await model.stop()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
