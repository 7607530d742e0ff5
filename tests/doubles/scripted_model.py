"""A fake model server whose responses a test writes piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.doubles.model_server import ModelServer, ReceivedRequest, chunk

_Step = Callable[[web.StreamResponse], Awaitable[None]]


class ScriptedAnswer:
    """One running response. Each call returns when its piece has been sent to the gateway."""

    def __init__(self, received: ReceivedRequest, model: str) -> None:
        self._received = received
        self._model = model
        self._steps: asyncio.Queue[tuple[_Step, asyncio.Event] | None] = asyncio.Queue()

    @property
    def body(self) -> dict[str, Any]:
        """The body of the request to the model server."""
        return self._received.body

    @property
    def abandoned(self) -> asyncio.Event:
        """Set when the gateway closed the connection, which frees the slot of the model."""
        return self._received.abandoned

    async def say(self, *pieces: str) -> None:
        for piece in pieces:
            await self._write(chunk({"content": piece}, model=self._model))

    async def think(self, *pieces: str) -> None:
        """Reasoning, as a server sends it that separates it from the content."""
        for piece in pieces:
            await self._write(chunk({"reasoning_content": piece}, model=self._model))

    async def finish(self, *pieces: str, reason: str = "stop", tokens: int | None = None) -> None:
        await self.say(*pieces)
        usage = {} if tokens is None else {"usage": {"completion_tokens": tokens}}
        await self._write(chunk({}, reason, model=self._model, **usage))
        await self._write(b"data: [DONE]\n\n")
        await self._steps.put(None)

    async def cut(self) -> None:
        """Break the connection in the middle of the response."""

        async def step(_: web.StreamResponse) -> None:
            self._received.cut()

        await self._do(step)
        await self._steps.put(None)

    async def _write(self, data: bytes) -> None:
        async def step(response: web.StreamResponse) -> None:
            await response.write(data)

        await self._do(step)

    async def _do(self, step: _Step) -> None:
        done = asyncio.Event()
        await self._steps.put((step, done))
        await done.wait()

    async def perform(self) -> web.StreamResponse:
        response = await self._received.stream()
        while (item := await self._steps.get()) is not None:
            step, done = item
            try:
                await step(response)
            finally:
                done.set()
        return response


class ScriptedModel:
    """A model server that waits for the test, or sends the same text to every request."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.server = ModelServer()
        self.server.behaviour = self._behave
        self._answers: asyncio.Queue[ScriptedAnswer] = asyncio.Queue()
        self._always: tuple[str, ...] | None = None
        self.title: str | None = ""
        """What it answers to the page's requests for a title, which `requests` does not have; None:
        the test answers them."""

    def always_say(self, *pieces: str) -> None:
        self._always = pieces

    async def next_answer(self) -> ScriptedAnswer:
        """The response to the next request, as soon as the request has arrived."""
        return await asyncio.wait_for(self._answers.get(), timeout=30)

    @property
    def requests(self) -> list[dict[str, Any]]:
        bodies = (received.body for received in self.server.received)
        return [body for body in bodies if not _asks_for_title(body)]

    @property
    def title_requests(self) -> list[dict[str, Any]]:
        return [
            received.body for received in self.server.received if _asks_for_title(received.body)
        ]

    async def _behave(self, received: ReceivedRequest) -> web.StreamResponse:
        answer = ScriptedAnswer(received, self.name)
        if _asks_for_title(received.body) and self.title is not None:
            performance = asyncio.create_task(answer.perform())
            await answer.finish(self.title)
            return await performance
        if self._always is not None:
            performance = asyncio.create_task(answer.perform())
            await answer.finish(*self._always, tokens=len(self._always))
            return await performance
        await self._answers.put(answer)
        return await answer.perform()


def _asks_for_title(body: dict[str, Any]) -> bool:
    """Whether the page asks for the title of a chat."""
    messages = body.get("messages")
    return bool(messages and str(messages[-1].get("content")).startswith("Write a title"))
