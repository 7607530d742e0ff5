"""Lighthouse's scores of the chat page, without chats and with an open one."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import BrowserContext, Playwright

from tests.ports import free_port
from tests.web.chat_page import ChatPage
from tests.web.conftest import FLAGS
from tests.web.stored_chats import conversation, import_conversations
from toolchain.setup.browsers import CHROMIUM, program

CATEGORIES = ("performance", "accessibility", "best-practices")
AUDITS = (
    "first-contentful-paint",
    "largest-contentful-paint",
    "total-blocking-time",
    "cumulative-layout-shift",
    "interactive",
)
CHAT = "opened"


@dataclass(frozen=True)
class Scores:
    """Of one run: categories from 0 to 100, audits in milliseconds."""

    categories: dict[str, float]
    audits: dict[str, float]


async def scores(
    playwright: Playwright,
    command: Sequence[str],
    url: str,
    *,
    desktop: bool,
    exchanges: Sequence[tuple[str, str]] = (),
    runs: int = 3,
) -> list[Scores]:
    """Scores of several runs, the lowest performance first.

    :param command: starts the command line of Lighthouse.
    :param exchanges: in the chat that is open; the page opens without a chat if there are none.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        context = await playwright.chromium.launch_persistent_context(
            folder,
            executable_path=program(CHROMIUM),
            args=[*FLAGS, f"--remote-debugging-port={port}"],
        )
        page = context.pages[0]
        if exchanges:
            chat = ChatPage(page, url)
            await chat.open()
            await import_conversations(chat, conversation(CHAT, "Opened", *exchanges))
        found = []
        for _ in range(runs):
            await _forget_files(context, url)
            target = f"{url}/#/c/{CHAT}" if exchanges else f"{url}/"
            found.append(await _run(command, target, port, desktop, keep=bool(exchanges)))
        await context.close()
    return sorted(found, key=lambda run: run.categories["performance"])


async def _forget_files(context: BrowserContext, url: str) -> None:
    """As on a first visit; only the chats stay."""
    page = context.pages[0]
    await page.goto(f"{url}/favicon.svg")
    await page.evaluate(
        """async () => {
          const workers = await navigator.serviceWorker.getRegistrations();
          for (const worker of workers) await worker.unregister();
          for (const name of await caches.keys()) await caches.delete(name);
        }"""
    )
    cdp = await context.new_cdp_session(page)
    await cdp.send("Network.clearBrowserCache")
    await cdp.detach()
    await page.goto("about:blank")


async def _run(command: Sequence[str], url: str, port: int, desktop: bool, *, keep: bool) -> Scores:
    arguments = [
        *command,
        url,
        f"--port={port}",
        "--quiet",
        "--output=json",
        f"--only-categories={','.join(CATEGORIES)}",
        *(["--preset=desktop"] if desktop else []),
        *(["--disable-storage-reset"] if keep else []),
    ]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    report: dict[str, Any] = json.loads(output)
    return Scores(
        {name: round(100 * (report["categories"][name]["score"] or 0)) for name in CATEGORIES},
        {name: report["audits"][name]["numericValue"] for name in AUDITS},
    )
