"""Answers as they come: progress, stopping, failures, and going on."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from .chat_page import ChatPage
from .scripted_model import ScriptedModel

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_appears_while_it_is_written(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Count to three")
    answer = await alpha.next_answer()
    shown = chat.answer_of("alpha")
    await answer.say("One, ")
    await expect(shown).to_contain_text("One,")
    await expect(shown).not_to_contain_text("two")
    await answer.say("two, ")
    await expect(shown).to_contain_text("One, two,")
    await answer.finish("three.")
    await expect(shown).to_contain_text("One, two, three.")
    await expect(chat.stop).to_have_count(0)
