"""The installed page: its manifest, and opening it without a connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import profile

READY = "() => navigator.serviceWorker.ready.then(worker => worker.active.state)"
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    async with profile(browser, service_workers="allow") as opened:
        yield opened


async def test_the_page_opens_without_a_connection_and_has_its_chats(
    context: BrowserContext, page: Page, chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("This one.")
    await chat.ask("Which chat is kept?")
    await expect(chat.answer_of("alpha")).to_contain_text("This one.")
    assert await page.evaluate(READY) in ("activating", "activated")
    await context.set_offline(True)
    await page.reload()
    await expect(page.get_by_text("Which chat is kept?").first).to_be_visible()
    await expect(chat.message).to_be_visible()
    # Requests to the API are never answered from what was stored.
    await expect(page.get_by_text("Can't connect").first).to_be_visible()
    await context.set_offline(False)
    await expect(page.get_by_text("Can't connect")).to_have_count(0)


async def test_the_page_can_be_installed(
    context: BrowserContext, page: Page, chat: ChatPage
) -> None:
    assert await page.evaluate(READY)
    session = await context.new_cdp_session(page)
    manifest = await session.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert json.loads(manifest["data"])["display"] == "standalone"
    found = await session.send("Page.getInstallabilityErrors")
    # A profile of a test is like a private window.
    reasons = {error["errorId"] for error in found["installabilityErrors"]}
    assert reasons <= {"in-incognito"}
