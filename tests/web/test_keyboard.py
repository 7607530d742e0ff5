"""The page, used by keyboard only."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Locator, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.stored_chats import conversation, import_conversations

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_whole_conversation_by_keyboard(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    keyboard = chat.page.keyboard
    await expect(chat.message).to_be_focused()
    await keyboard.type("First line")
    await keyboard.press("Shift+Enter")
    await keyboard.type("second line")
    await keyboard.press("Enter")
    answer = await alpha.next_answer()
    assert answer.body["messages"][0]["content"] == "First line\nsecond line"
    await answer.say("It begins")
    await expect(chat.answer_of("alpha")).to_contain_text("It begins")
    await keyboard.press("Escape")
    await asyncio.wait_for(answer.abandoned.wait(), 15)
    await expect(chat.answer_of("alpha")).to_contain_text("Stopped.")

    await keyboard.press("ArrowUp")
    editor = chat.page.get_by_role("textbox", name="Edit your message")
    await expect(editor).to_be_focused()
    await keyboard.press("Control+a")
    await keyboard.type("Only one line")
    await keyboard.press("Enter")
    edited = await alpha.next_answer()
    assert edited.body["messages"][0]["content"] == "Only one line"
    await edited.finish("Done.")
    await expect(chat.answer_of("alpha")).to_contain_text("Done.")
    await expect(chat.message).to_be_focused()
    # The search finds what is stored: the complete answer.
    await expect(chat.stop).to_have_count(0)

    await keyboard.press("Control+Shift+O")
    await expect(chat.answers).to_have_count(0)
    await expect(chat.message).to_be_focused()
    await keyboard.press("Control+k")
    await keyboard.type("done")
    await expect(chat.page.get_by_role("option")).to_have_count(1)
    await keyboard.press("Enter")
    await expect(chat.answer_of("alpha")).to_contain_text("Done.")


async def test_a_model_is_chosen_by_keyboard(chat: ChatPage, beta: ScriptedModel) -> None:
    keyboard = chat.page.keyboard
    await chat.picker.focus()
    await keyboard.press("Enter")
    await expect(chat.page.get_by_role("button", name="alpha Ready")).to_be_focused()
    await keyboard.press("Tab")
    await expect(chat.button("Remove alpha from the comparison")).to_be_disabled()
    await expect(chat.page.get_by_role("button", name="beta Ready")).to_be_focused()
    await keyboard.press("Enter")
    await expect(chat.dialog("Models")).to_be_hidden()
    await expect(chat.picker).to_be_focused()
    await expect(chat.picker).to_contain_text("beta")


async def test_a_question_mark_lists_the_shortcuts(chat: ChatPage) -> None:
    keyboard = chat.page.keyboard
    await chat.message.press("?")
    await expect(chat.message).to_have_value("?")
    await chat.picker.focus()
    await keyboard.press("?")
    await expect(chat.dialog("Keyboard shortcuts")).to_contain_text("Stop generating")
    await keyboard.press("Escape")
    await expect(chat.dialog("Keyboard shortcuts")).to_be_hidden()
    await expect(chat.picker).to_be_focused()
    await keyboard.press("/")
    await expect(chat.message).to_be_focused()


async def test_a_key_right_after_escape_is_not_lost(chat: ChatPage) -> None:
    await chat.picker.click()
    await expect(chat.dialog("Models")).to_be_visible()
    # Sooner than the browser reports that the dialog is closed.
    await chat.page.evaluate(
        """() => {
          const dialog = document.querySelector("dialog[open]");
          new MutationObserver(() => {
            dispatchEvent(new KeyboardEvent("keydown", { key: "/" }));
          }).observe(dialog, { attributeFilter: ["open"] });
        }"""
    )
    await chat.page.keyboard.press("Escape")
    await expect(chat.dialog("Models")).to_be_hidden()
    await expect(chat.message).to_be_focused()


# WebKit sends the Enter that confirms a Japanese or Chinese word like this, after the composition.
CONFIRMING = {"key": "Enter", "keyCode": 229, "bubbles": True, "cancelable": True}
RENDERED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


async def _confirm(field: Locator, key: str = "Enter") -> None:
    """Send the key as WebKit does, and wait until the page has shown what it made of it."""
    await field.dispatch_event("keydown", {**CONFIRMING, "key": key})
    await field.page.evaluate(RENDERED)


async def test_confirming_a_word_of_an_input_method_sends_nothing(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.message.fill("こんにちは")
    await _confirm(chat.message)
    await expect(chat.message).to_have_value("こんにちは")
    alpha.always_say("はい")
    await chat.message.press("Enter")
    await expect(chat.answer_of("alpha")).to_contain_text("はい")
    await expect(chat.button("Send")).to_be_visible()

    await chat.button("Edit message").click()
    editor = chat.page.get_by_role("textbox", name="Edit your message")
    for key in ("Enter", "Escape"):
        await _confirm(editor, key)
        await expect(editor).to_be_visible()
    await editor.press("Escape")
    await chat.button("More about this answer").click()
    await chat.page.get_by_role("menuitem", name="Edit answer").click()
    editor = chat.page.get_by_role("textbox", name="Edit the answer")
    for key in ("Enter", "Escape"):
        await _confirm(editor, key)
        await expect(editor).to_be_visible()
    await editor.press("Escape")
    assert len(alpha.requests) == 1


async def test_confirming_a_word_ends_no_search_and_no_new_name(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await import_conversations(chat, conversation("one", "こんにちは", ("やあ", "はい")))
    await chat.listed("こんにちは").dblclick()
    title = chat.page.get_by_role("textbox", name="Title")
    for key in ("Enter", "Escape"):
        await _confirm(title, key)
        await expect(title).to_be_visible()
    await title.press("Escape")

    await chat.page.keyboard.press("Control+Shift+O")
    await chat.page.keyboard.press("Control+k")
    field = chat.page.get_by_role("combobox")
    await field.fill("は")
    await expect(chat.page.get_by_role("option")).to_have_count(1)
    await _confirm(field)
    await expect(field).to_be_visible()
    await expect(chat.answers).to_have_count(0)
    await field.press("Enter")
    await expect(chat.answers).to_have_count(1)


async def test_confirming_a_word_inserts_no_prompt(chat: ChatPage) -> None:
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name="Prompts").click()
    await chat.button("New prompt").click()
    await chat.page.get_by_label("Title", exact=True).fill("翻訳")
    await chat.page.get_by_label("Text", exact=True).fill("{{言語}}に")
    await chat.button("Save prompt").click()
    await expect(chat.button("Delete 翻訳")).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await chat.message.press_sequentially("/")
    await expect(chat.page.get_by_role("option")).to_have_count(2)
    await _confirm(chat.message)
    await expect(chat.page.get_by_role("option")).to_have_count(2)
    await chat.message.press("Enter")
    variables = chat.dialog("翻訳")
    field = variables.get_by_role("textbox", name="言語")
    await field.fill("英語")
    await _confirm(field)
    await expect(variables).to_be_visible()
    await field.press("Enter")
    await expect(chat.message).to_have_value("英語に")


async def test_confirming_a_word_stops_no_answer(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Speak")
    answer = await alpha.next_answer()
    await answer.say("Some ")
    await expect(chat.answers).to_contain_text("Some")
    # Escape ends the composition, not the answer.
    await _confirm(chat.message, "Escape")
    await answer.finish("words.")
    await expect(chat.answers).to_contain_text("Some words.")
    await expect(chat.answers).not_to_contain_text("Stopped")


async def test_a_word_in_composition_is_not_sent(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("はい")
    await chat.message.focus()
    input_method = await chat.page.context.new_cdp_session(chat.page)
    await input_method.send(
        "Input.imeSetComposition", {"text": "こん", "selectionStart": 2, "selectionEnd": 2}
    )
    await expect(chat.message).to_have_value("こん")
    await chat.message.press("Enter")
    await chat.page.evaluate(RENDERED)
    await expect(chat.answers).to_have_count(0)
    await input_method.send("Input.insertText", {"text": "今日は"})
    await chat.message.fill("今日は")
    await chat.message.press("Enter")
    await expect(chat.answers).to_contain_text("はい")
    assert [request["messages"][-1]["content"] for request in alpha.requests] == ["今日は"]


async def test_a_menu_is_used_by_keyboard(chat: ChatPage) -> None:
    keyboard = chat.page.keyboard
    await chat.button("More").focus()
    await keyboard.press("Enter")
    await expect(chat.page.get_by_role("menuitem", name="Import")).to_be_focused()
    await keyboard.press("ArrowUp")
    await expect(chat.page.get_by_role("menuitem", name="Keyboard shortcuts")).to_be_focused()
    await keyboard.press("Escape")
    await expect(chat.page.get_by_role("menu", name="More")).to_be_hidden()
    await expect(chat.button("More")).to_be_focused()


async def test_the_end_of_an_answer_is_announced_once(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Speak")
    answer = await alpha.next_answer()
    await answer.say("Some words")
    await expect(chat.answer_of("alpha")).to_contain_text("Some words")
    announced = chat.page.get_by_role("status").filter(has_text="alpha finished.")
    await expect(announced).to_have_count(0)
    await expect(chat.answer_of("alpha")).to_have_attribute("aria-busy", "true")
    live = "element => element.closest('[aria-live], [role=status], [role=log]') === null"
    assert await chat.page.get_by_text("Some words").evaluate(live)
    await answer.finish(".")
    await expect(announced).to_have_count(1)
