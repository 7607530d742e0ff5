"""A service for the monitor to check: an HTTP server in this process with set responses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class WatchedService:
    """`responses` maps a path to status and body; `None` means that it never responds."""

    url: str = ""
    responses: dict[str, tuple[int, object] | None] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    """Of the requests received so far."""
    bodies: list[Any] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Of every response."""
    received: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        async with self.received:
            self.paths.append(request.path)
            self.received.notify_all()
        if request.can_read_body:
            self.bodies.append(await request.json())
        not_found = (404, {"error": {"message": "File Not Found"}})
        response = self.responses.get(request.path, not_found)
        if response is None:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        status, body = response
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=self.headers)
        return web.json_response(body, status=status, headers=self.headers)

    async def wait_for_request(self, path: str, times: int = 1) -> None:
        """Wait until a path was requested so many times."""
        async with self.received:
            await self.received.wait_for(lambda: self.paths.count(path) >= times)


@asynccontextmanager
async def serving(**responses: tuple[int, object] | None) -> AsyncIterator[WatchedService]:
    """Serve; keys are paths without the leading slash."""
    service = WatchedService(
        responses={f"/{path}": response for path, response in responses.items()}
    )
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()
