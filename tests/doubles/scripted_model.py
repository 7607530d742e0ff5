"""A model whose answers a test dictates piece by piece, on the gateway tests' double of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.doubles.model_server import Asked, ModelServer, chunk

_Step = Callable[[web.StreamResponse], Awaitable[None]]


class Answer:
    """One answer under way. Each call returns when the piece is on its way to the gateway."""

    def __init__(self, asked: Asked, model: str) -> None:
        self._asked = asked
        self._model = model
        self._steps: asyncio.Queue[tuple[_Step, asyncio.Event] | None] = asyncio.Queue()

    @property
    def body(self) -> dict[str, Any]:
        """The request, as the model's server got it."""
        return self._asked.body

    @property
    def abandoned(self) -> asyncio.Event:
        """Set when the gateway gave the answer up, which frees the model's slot."""
        return self._asked.abandoned

    async def say(self, *pieces: str) -> None:
        for piece in pieces:
            await self._write(chunk({"content": piece}, model=self._model))

    async def think(self, *pieces: str) -> None:
        """Thinking as a server sends it that parts it from the answer itself."""
        for piece in pieces:
            await self._write(chunk({"reasoning_content": piece}, model=self._model))

    async def finish(self, *pieces: str, reason: str = "stop", tokens: int | None = None) -> None:
        await self.say(*pieces)
        usage = {} if tokens is None else {"usage": {"completion_tokens": tokens}}
        await self._write(chunk({}, reason, model=self._model, **usage))
        await self._write(b"data: [DONE]\n\n")
        await self._steps.put(None)

    async def cut(self) -> None:
        """The server dies in the middle of the answer."""

        async def step(_: web.StreamResponse) -> None:
            self._asked.cut()

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
        response = await self._asked.stream()
        while (item := await self._steps.get()) is not None:
            step, done = item
            try:
                await step(response)
            finally:
                done.set()
        return response


class ScriptedModel:
    """A model's server. It waits for the test's words, or says the same to everyone."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.server = ModelServer()
        self.server.behaviour = self._behave
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()
        self._always: tuple[str, ...] | None = None

    def always_say(self, *pieces: str) -> None:
        self._always = pieces

    async def next_answer(self) -> Answer:
        """The answer to the next request, as soon as that has arrived."""
        return await asyncio.wait_for(self._answers.get(), timeout=30)

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [asked.body for asked in self.server.asked]

    async def _behave(self, asked: Asked) -> web.StreamResponse:
        answer = Answer(asked, self.name)
        if self._always is not None:
            performance = asyncio.create_task(answer.perform())
            await answer.finish(*self._always, tokens=len(self._always))
            return await performance
        await self._answers.put(answer)
        return await answer.perform()
