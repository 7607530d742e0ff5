"""The page, used by keyboard only."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage

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


async def test_confirming_a_word_of_an_input_method_sends_nothing(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.message.fill("こんにちは")
    await chat.message.dispatch_event("keydown", CONFIRMING)
    await expect(chat.message).to_have_value("こんにちは")
    alpha.always_say("はい")
    await chat.message.press("Enter")
    await expect(chat.answer_of("alpha")).to_contain_text("はい")

    await chat.button("Edit message").click()
    editor = chat.page.get_by_role("textbox", name="Edit your message")
    await editor.dispatch_event("keydown", CONFIRMING)
    await expect(editor).to_be_visible()
    await editor.press("Escape")

    await chat.listed("こんにちは").dblclick()
    title = chat.page.get_by_role("textbox", name="Title")
    await title.dispatch_event("keydown", CONFIRMING)
    await expect(title).to_be_visible()
    await title.press("Escape")

    await chat.page.keyboard.press("Control+k")
    field = chat.page.get_by_role("combobox")
    await field.fill("は")
    await expect(chat.page.get_by_role("option")).to_have_count(1)
    await field.dispatch_event("keydown", CONFIRMING)
    await expect(field).to_be_visible()
    assert len(alpha.requests) == 1


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
