"""Runs the gateway as it runs in its container (uvicorn, httptools), on a free loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import uvicorn

from app.chat.api.page import WEB_ROOT
from app.chat.app import create_app
from app.chat.model_lists import ListedModels
from app.chat.server.server import server_config
from app.chat.settings import GatewaySettings, Secrets
from app.shared.watched_file import Watched


class _Server(uvicorn.Server):
    """Starts and stops at once, where uvicorn checks every 0.1 s."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.running = asyncio.Event()
        self.end = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.running.set()
        await self.end.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to pytest."""
        yield


def settings(
    *replicas: str,
    slots: int = 2,
    tasks: Sequence[str] = ("chat", "completion"),
    **more: Any,
) -> GatewaySettings:
    """Settings with fast health checks, and one model `m` if there are replicas of it.

    :param health: settings of the health checks that differ.
    """
    health = {
        "interval": 0.1,
        "interval_when_down": 0.02,
        "names_interval": 0.02,
        "draining_interval": 0.02,
        "timeout": 5,
        **more.pop("health", {}),
    }
    model = {"id": "m", "slots": slots, "tasks": tasks, "replicas": list(replicas)}
    content = {"models": [model] if replicas else [], "health": health, **more}
    return GatewaySettings.model_validate(content)


@contextlib.asynccontextmanager
async def running(
    configuration: GatewaySettings,
    secrets: Secrets | None = None,
    web_root: Path = WEB_ROOT,
    lists: Watched[ListedModels] | None = None,
    **more: Any,
) -> AsyncIterator[str]:
    """Gives the gateway's URL, once it accepts requests.

    :param more: further arguments of `create_app`.
    """
    app = create_app(configuration, secrets or Secrets(), web_root, lists, **more)
    config = server_config(app, "127.0.0.1", 0, 1, configuration.limits)
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    started = asyncio.create_task(server.running.wait())
    await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.end.set()
        await task


@contextlib.contextmanager
def running_in_thread(configuration: GatewaySettings) -> Iterator[str]:
    """The same for tests without an event loop."""
    ready: Future[str] = Future()
    loop, end = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        try:
            async with running(configuration) as url:
                ready.set_result(url)
                await end.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield ready.result()
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()
