"""Runs Debian's Firefox for Playwright, over WebDriver BiDi.

Playwright sends commands of the newest Firefox when it opens a profile (to emulate media features);
Debian's extended support release does not have them yet. This module, run as a program in place of
Firefox, passes all messages on and accepts those commands in its place. It can be removed when
`playwright.firefox.launch(channel="moz-firefox")` works with Debian's Firefox.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import ClientSession, ClientWebSocketResponse, WSMessage, WSMsgType, web
from playwright.async_api import Browser, async_playwright

from toolchain.setup.browsers import FIREFOX, program

DOWNLOADS = "downloads"
"""The folder of the files that pages save: this Firefox does not report downloads to Playwright."""
Preferences = dict[str, str | float | bool]
_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
_REPOSITORY = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def firefox(folder: Path, preferences: Preferences | None = None) -> AsyncIterator[Browser]:
    """A running Firefox.

    :param folder: an empty one, for the program that Playwright starts.
    """
    launcher = folder / "firefox"
    launcher.write_text(
        f"#!/bin/sh\ncd '{_REPOSITORY}' && exec '{sys.executable}' -m tests.web.firefox \"$@\"\n"
    )
    launcher.chmod(0o755)
    async with async_playwright() as playwright:
        browser = await playwright.firefox.launch(
            # Firefox as it is published, not Playwright's own build.
            channel="moz-firefox",
            executable_path=launcher,
            firefox_user_prefs=preferences or {},
            downloads_path=folder / DOWNLOADS,
        )
        yield browser
        await browser.close()


async def _run(arguments: list[str]) -> int:
    """Start Firefox, and print the address of the relay where Firefox prints its own."""
    executable = program(FIREFOX)
    assert executable is not None, "Firefox is not installed"
    process = await asyncio.create_subprocess_exec(
        executable, *arguments, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with contextlib.AsyncExitStack() as stack:
        async for line in process.stderr:
            if found := _LISTENING.search(line):
                port = await stack.enter_async_context(_relay(f"{found[1].decode()}/session"))
                line = b"WebDriver BiDi listening on ws://127.0.0.1:%d\n" % port
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
        return await process.wait()


@contextlib.asynccontextmanager
async def _relay(target: str) -> AsyncIterator[int]:
    """Relay WebSocket connections to Firefox; yields the port."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        async with ClientSession() as session, session.ws_connect(target, max_msg_size=0) as server:
            await _exchange(client, server)
        return client

    app = web.Application()
    app.router.add_get("/session", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def _exchange(client: web.WebSocketResponse, server: ClientWebSocketResponse) -> None:
    emulations: set[int] = set()

    async def requests() -> None:
        async for message in client:
            if message.type is WSMsgType.TEXT:
                if '"emulation.' in message.data:
                    emulations.add(json.loads(message.data)["id"])
                await server.send_str(message.data)
        await server.close()

    async def answers() -> None:
        async for message in server:
            if message.type is WSMsgType.TEXT:
                await client.send_str(_accepted(message, emulations))
        await client.close()

    await asyncio.gather(requests(), answers())


def _accepted(message: WSMessage, emulations: set[int]) -> str:
    """The message, or a success in place of the refusal of an emulation that Firefox does not have."""
    text: str = message.data
    if '"unknown command"' in text:
        answer = json.loads(text)
        if answer.get("id") in emulations:
            return json.dumps({"type": "success", "id": answer["id"], "result": {}})
    return text


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(sys.argv[1:])))
