"""A service to be checked: a real HTTP server in this process whose answers a test sets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class FakeService:
    """`answers` maps a path to a status and a body; `None` means it never answers."""

    url: str = ""
    answers: dict[str, tuple[int, object] | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    bodies: list[Any] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        async with self.news:
            self.asked.append(request.path)
            self.news.notify_all()
        if request.can_read_body:
            self.bodies.append(await request.json())
        answer = self.answers.get(request.path, (404, {"error": {"message": "File Not Found"}}))
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        status, body = answer
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=self.headers)
        return web.json_response(body, status=status, headers=self.headers)

    async def is_asked(self, path: str, times: int = 1) -> None:
        """Wait until a path was asked for so many times."""
        async with self.news:
            await self.news.wait_for(lambda: self.asked.count(path) >= times)


@asynccontextmanager
async def serving(**answers: tuple[int, object] | None) -> AsyncIterator[FakeService]:
    """Serve; keys are paths with the slash left out."""
    fake = FakeService(answers={f"/{path}": answer for path, answer in answers.items()})
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
