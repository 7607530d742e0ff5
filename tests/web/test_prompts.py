"""The user's own prompts: a slash in the message field, variables, the dialog, export."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.axe import violations
from tests.web.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _options(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("listbox", name="Prompts").get_by_role("option")


async def _menu(chat: ChatPage, item: str) -> None:
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name=item, exact=True).click()


async def _add(chat: ChatPage, title: str, text: str) -> None:
    await _menu(chat, "Prompts")
    await chat.button("New prompt").click()
    await chat.page.get_by_label("Title", exact=True).fill(title)
    await chat.page.get_by_label("Text", exact=True).fill(text)
    await chat.button("Save prompt").click()
    await expect(chat.dialog("Prompts")).to_contain_text(title)
    await chat.page.keyboard.press("Escape")


async def test_a_slash_finds_a_prompt_by_keyboard(chat: ChatPage) -> None:
    await _add(chat, "Proofread", "Correct the spelling:")
    await _add(chat, "Résumé check", "Check this résumé.")
    await chat.page.reload()
    await chat.message.press_sequentially("/")
    await expect(_options(chat)).to_have_count(3)
    assert await violations(chat.page) == []
    await chat.message.press_sequentially("resu")
    await expect(_options(chat)).to_have_count(1)
    option = await _options(chat).get_attribute("id")
    await expect(chat.message).to_have_attribute("aria-activedescendant", option or "")
    await chat.page.keyboard.press("Enter")
    await expect(chat.message).to_have_value("Check this résumé.")
    await expect(chat.message).to_be_focused()
    await expect(_options(chat)).to_have_count(0)
    # At the start of a text, the rest of the text stays.
    await chat.message.fill(" my txet")
    await chat.page.keyboard.press("Home")
    await chat.message.press_sequentially("/")
    await chat.page.keyboard.press("ArrowDown")
    await chat.page.keyboard.press("ArrowUp")
    await chat.page.keyboard.press("Enter")
    await expect(chat.message).to_have_value("Correct the spelling: my txet")


async def test_a_message_with_a_slash_can_be_sent(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("A file.")
    await _add(chat, "etc", "Explain /etc/hosts.")
    await chat.message.press_sequentially("/etc/hosts")
    await expect(_options(chat)).to_have_count(0)
    await chat.page.keyboard.press("Enter")
    await expect(chat.answers).to_contain_text("A file.")
    assert alpha.requests[0]["messages"][-1]["content"] == "/etc/hosts"
    await expect(chat.button("Send")).to_be_visible()
    await chat.message.press_sequentially("/e")
    await expect(_options(chat)).to_have_count(1)
    await chat.page.keyboard.press("Escape")
    await expect(_options(chat)).to_have_count(0)
    await chat.page.keyboard.press("Enter")
    await expect(chat.answers).to_have_count(2)
    await expect(chat.answers.last).to_contain_text("A file.")
    assert alpha.requests[1]["messages"][-1]["content"] == "/e"


async def test_variables_are_asked_for(chat: ChatPage) -> None:
    await _add(chat, "Translate", "Translate into {{language}}:\n\n{{text}}")
    await chat.message.press_sequentially("/tr")
    await _options(chat).click()
    form = chat.dialog("Translate")
    await expect(form.get_by_label("language")).to_be_focused()
    assert await violations(chat.page) == []
    await form.get_by_label("language").fill("French")
    await form.get_by_label("text").fill("Hello")
    await form.get_by_role("button", name="Insert").click()
    await expect(chat.message).to_have_value("Translate into French:\n\nHello")


async def test_a_prompt_is_edited_deleted_and_restored(chat: ChatPage) -> None:
    await _add(chat, "Draft", "Write a draft.")
    await _menu(chat, "Prompts")
    dialog = chat.dialog("Prompts")
    await chat.button("Edit Draft").click()
    await chat.page.get_by_label("Text", exact=True).fill("")
    await chat.button("Save prompt").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Enter the text of the prompt.")
    assert await violations(chat.page) == []
    await chat.page.get_by_label("Text", exact=True).fill("Write a short draft.")
    await chat.button("Save prompt").click()
    await expect(dialog).to_contain_text("Write a short draft.")
    await chat.button("Delete Draft").click()
    await expect(dialog).to_contain_text("“Draft” was deleted.")
    await expect(dialog).not_to_contain_text("Write a short draft.")
    await dialog.get_by_role("button", name="Undo").click()
    await expect(dialog).to_contain_text("Write a short draft.")
    await dialog.get_by_label("Search prompts").fill("nowhere")
    await expect(dialog.get_by_role("status")).to_have_text("No matches")


async def test_a_message_becomes_a_prompt_in_all_tabs(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Sure.")
    other = ChatPage(await chat.page.context.new_page(), chat.url)
    await other.open()
    await chat.ask("Explain it to a child")
    await chat.button("More about this message").click()
    await chat.page.get_by_role("menuitem", name="Save as prompt").click()
    await expect(chat.page.get_by_label("Title", exact=True)).to_have_value("Explain it to a child")
    await chat.button("Save prompt").click()
    await expect(chat.dialog("Prompts")).to_contain_text("Explain it to a child")
    await other.message.press_sequentially("/")
    await expect(_options(other).first).to_contain_text("Explain it to a child")


async def test_prompts_are_exported_with_the_chats(chat: ChatPage) -> None:
    await _add(chat, "Keep me", "A good text.")
    async with chat.page.expect_download() as download:
        await _menu(chat, "Export all chats")
    path = await (await download.value).path()
    await _menu(chat, "Prompts")
    await chat.button("Delete Keep me").click()
    await chat.page.keyboard.press("Escape")
    nothing = "No chats in this file."
    for message in (f"{nothing} Imported 1 prompt.", nothing):
        async with chat.page.expect_file_chooser() as chooser:
            await _menu(chat, "Import chats")
        await (await chooser.value).set_files(path)
        await expect(chat.notice.locator("span").first).to_have_text(message)
        await chat.button("Dismiss").click()
    await chat.message.press_sequentially("/")
    await expect(_options(chat).first).to_contain_text("Keep me")
