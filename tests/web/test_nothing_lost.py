"""What a person wrote is kept: drafts, two tabs, full or blocked storage, an ended sign-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import TIMEOUT_MS
from tests.web.page_states import BLOCK_STORAGE

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_unsent_message_survives_a_reload(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.message.fill("Half a thought")
    await chat.page.reload()
    await expect(chat.message).to_have_value("Half a thought")
    alpha.always_say("Go on.")
    await chat.message.press("Enter")
    await expect(chat.answer_of("alpha")).to_contain_text("Go on.")
    await chat.message.fill("Half of the next one")
    await chat.page.reload()
    await expect(chat.message).to_have_value("Half of the next one")
    await chat.page.keyboard.press("Control+Shift+O")
    await expect(chat.message).to_have_value("")


async def _other_tab(chat: ChatPage) -> ChatPage:
    other = ChatPage(await chat.page.context.new_page(), chat.url)
    await other.open()
    return other


async def test_two_tabs_on_one_chat_keep_the_messages_of_both(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Asked first")
    slow = await alpha.next_answer()
    await slow.say("A slow ")
    await expect(chat.answer_of("alpha")).to_contain_text("A slow")
    other = await _other_tab(chat)
    await other.listed("Asked first").click()
    await expect(other.answers).to_contain_text("A slow")
    await expect(other.answers).to_contain_text("In progress in another tab")
    await other.ask("Asked in the second tab")
    await (await alpha.next_answer()).finish("A quick answer.")
    await expect(other.answers.last).to_contain_text("A quick answer.")
    await slow.finish("answer.")
    for tab in (chat, other):
        await expect(tab.answers).to_have_count(2)
        await expect(tab.answers.first).to_contain_text("A slow answer.")
        await expect(tab.answers.last).to_contain_text("A quick answer.")
        await expect(tab.button("Send")).to_be_visible()
        await tab.page.reload()
        await expect(tab.answers.first).to_contain_text("A slow answer.")
        await expect(tab.answers.last).to_contain_text("A quick answer.")


async def test_a_chat_deleted_in_another_tab_is_closed(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Soon gone.")
    await chat.ask("Delete me")
    await expect(chat.answers).to_contain_text("Soon gone.")
    await expect(chat.button("Send")).to_be_visible()
    other = await _other_tab(chat)
    await other.listed("Delete me").hover()
    await other.button("Actions for Delete me").click()
    await other.page.get_by_role("menuitem", name="Delete").click()
    await expect(chat.answers).to_have_count(0)
    await expect(chat.notice).to_contain_text("deleted in another tab")


async def test_chats_stay_in_memory_when_the_browser_blocks_storage(
    page: Page, gateway: str, alpha: ScriptedModel
) -> None:
    await page.add_init_script(BLOCK_STORAGE)
    alpha.always_say("Only for now.")
    chat = ChatPage(page, gateway)
    await chat.open()
    await expect(chat.notice).to_contain_text("Your browser blocks storage.")
    await chat.ask("First")
    await expect(chat.answers).to_contain_text("Only for now.")
    await page.keyboard.press("Control+Shift+O")
    await expect(chat.answers).to_have_count(0)
    await chat.listed("First").click()
    await expect(chat.answers).to_contain_text("Only for now.")
    await expect(page.get_by_text("Chats are lost when you close this tab.")).to_be_visible()


FILL_STORAGE = """() => {
  IDBObjectStore.prototype.put = () => {
    throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
  };
}"""


async def test_a_full_storage_leads_to_an_export_with_everything(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.page.evaluate(FILL_STORAGE)
    await chat.ask("Too much")
    answer = await alpha.next_answer()
    await answer.say("Words without ")
    await expect(chat.notice).to_contain_text("storage may be full")
    await answer.finish("a place.")
    await expect(chat.answers).to_contain_text("Words without a place.")
    await expect(chat.button("Send")).to_be_visible()
    async with chat.page.expect_download() as download:
        await chat.notice.get_by_role("button", name="Export all chats").click()
    [saved] = _conversations_in(Path(await (await download.value).path()))
    assert saved["turns"][0]["lanes"][0]["answers"][0]["text"] == "Words without a place."


def _conversations_in(export: Path) -> list[dict[str, Any]]:
    conversations: list[dict[str, Any]] = json.loads(export.read_text())["conversations"]
    return conversations


PERSIST_REFUSED = """
window.asked = 0;
StorageManager.prototype.persisted = async () => false;
StorageManager.prototype.persist = async () => { window.asked += 1; return false; };
"""


async def test_the_browser_is_asked_to_keep_the_chats_and_a_refusal_is_shown(
    page: Page, gateway: str, alpha: ScriptedModel
) -> None:
    await page.add_init_script(PERSIST_REFUSED)
    alpha.always_say("Hello.")
    chat = ChatPage(page, gateway)
    await chat.open()
    assert await page.evaluate("window.asked") == 0
    await chat.ask("Hi")
    note = page.get_by_text("it may delete them when it needs space")
    await expect(note).to_be_visible()
    await expect(chat.button("Send")).to_be_visible()
    await chat.ask("Hi again")
    await expect(chat.answers).to_have_count(2)
    assert await page.evaluate("window.asked") == 1


async def test_an_ended_sign_in_is_offered_again_and_the_draft_is_kept(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    async def to_sign_in(route: Route) -> None:
        # What Cloudflare Access sends when its session has ended.
        await route.fulfill(
            status=302, headers={"Location": "https://team.example.org/cdn-cgi/access/login"}
        )

    await chat.page.route("**/status", to_sign_in)
    await chat.page.route("**/v1/**", to_sign_in)
    await chat.ask("Does it arrive?")
    await expect(chat.answers.get_by_role("alert")).to_contain_text("You are signed out.")
    await expect(chat.page.get_by_text("Your message and your chats are kept.")).to_be_visible()
    await chat.message.fill("A draft")
    await chat.page.unroute_all()
    await chat.button("Sign in again").click()
    await expect(chat.button("Sign in again")).to_have_count(0)
    await expect(chat.message).to_have_value("A draft")
    alpha.always_say("It does.")
    await chat.button("Retry").click()
    await expect(chat.answers).to_contain_text("It does.")


async def test_enter_in_the_editor_of_a_question_is_a_new_line_on_a_touch_screen(
    browser: Browser, gateway: str, alpha: ScriptedModel
) -> None:
    alpha.always_say("Fine.")
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    context.set_default_timeout(TIMEOUT_MS)
    chat = ChatPage(await context.new_page(), gateway)
    await chat.open()
    await chat.message.fill("One line")
    await chat.button("Send").tap()
    await expect(chat.answers).to_contain_text("Fine.")
    await chat.button("Edit message").tap()
    editor = chat.page.get_by_role("textbox", name="Edit your message")
    await editor.press("Enter")
    await expect(editor).to_have_value("One line\n")
    assert len(alpha.requests) == 1
    await context.close()
