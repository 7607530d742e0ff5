"""A chat that is longer than the model's context goes on, and the page shows what is left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from tests.doubles.model_server import ReceivedRequest
from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import GatewayFactory, served
from tests.web.stored_chats import conversation, import_conversations

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = "Some words that fill the context of the model. " * 6
EXCHANGES = [(f"Question {number}", f"{number}: {WORDS}") for number in range(8)]
Behaviour = Callable[[ReceivedRequest], Awaitable[web.StreamResponse]]


def _limited(
    model: ScriptedModel, characters: int, code: str = "exceed_context_size_error"
) -> None:
    """Refuse longer requests, as llama-server does."""
    answer: Behaviour = model.server.behaviour

    async def behave(received: ReceivedRequest) -> web.StreamResponse:
        size = len(json.dumps(received.body["messages"]))
        if size <= characters:
            return await answer(received)
        error = {
            "code": 400,
            "message": f"request ({size} tokens) exceeds the available context size (1024 tokens)",
            "type": code,
            "n_prompt_tokens": size,
            "n_ctx": 1024,
        }
        return web.json_response({"error": error}, status=400)

    model.server.behaviour = behave


def _sent(request: dict[str, Any]) -> list[str]:
    return [message["content"] for message in request["messages"] if message["role"] == "user"]


async def _open_long_chat(page: Page, url: str) -> ChatPage:
    chat = ChatPage(page, url)
    await chat.open()
    await import_conversations(chat, conversation("long", "A long one", *EXCHANGES))
    await chat.listed("A long one").click()
    await expect(chat.answers).to_have_count(8)
    return chat


async def test_the_oldest_messages_are_left_out_and_the_page_shows_it(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.always_say("Fine.")
    async with gateway_with(served(alpha, context=512)) as url:
        chat = await _open_long_chat(page, url)
        note = page.get_by_text("Messages above are no longer sent")
        await expect(note).to_be_visible()
        await expect(page.get_by_role("meter", name="Context used")).to_be_visible()
        first = await page.locator(".omitted + section .bubble").inner_text()
        await chat.ask("And now?")
        await expect(chat.answers.last).to_contain_text("Fine.")
        sent = _sent(alpha.requests[0])
        assert sent[-1] == "And now?"
        assert 1 < len(sent) < 9
        assert sent[0] == first

        await chat.button("Send all messages").click()
        await expect(note).to_have_count(0)
        await chat.ask("All of it")
        await expect(chat.answers).to_have_count(10)
        await expect(chat.answers.last).to_contain_text("Fine.")
        assert len(_sent(alpha.requests[1])) == 10


@pytest.mark.parametrize("code", ["exceed_context_size_error", "context_length_exceeded"])
async def test_a_full_context_has_a_way_on(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel, code: str
) -> None:
    alpha.always_say("Fine.")
    _limited(alpha, 2000, code)
    async with gateway_with(served(alpha, context=512)) as url:
        chat = await _open_long_chat(page, url)
        await chat.button("Send all messages").click()
        await chat.ask("And now?")
        alert = chat.answers.last.get_by_role("alert")
        await expect(alert).to_contain_text("This chat is too long for alpha.")
        await expect(alert.get_by_role("button", name="Start a new chat")).to_be_visible()
        await alert.get_by_role("button", name="Leave out the oldest messages").click()
        await expect(chat.answers.last).to_contain_text("Fine.")


async def test_less_is_sent_when_the_server_counts_more_tokens(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.always_say("Fine.")
    _limited(alpha, 1500)
    async with gateway_with(served(alpha, context=1024)) as url:
        chat = await _open_long_chat(page, url)
        await chat.ask("And now?")
        await expect(chat.answers.last).to_contain_text("Fine.")
        first, second = alpha.requests
        assert len(_sent(second)) < len(_sent(first))
        await expect(page.get_by_text("Messages above are no longer sent")).to_be_visible()


async def test_a_summary_is_sent_in_place_of_the_messages_that_are_left_out(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    async with gateway_with(served(alpha, context=512)) as url:
        chat = await _open_long_chat(page, url)
        alpha.always_say("<think>Hm.</think>", "They counted to **five**.")
        await chat.button("Summarize them").click()
        summary = page.get_by_role("region", name="Summary of the messages above")
        await expect(summary).to_contain_text("They counted to five.")
        await expect(summary).not_to_contain_text("Hm.")
        await expect(page.get_by_text("Messages above are no longer sent")).to_have_count(0)
        assert "Question 0" in _sent(alpha.requests[0])[0]
        # The next part is summarized together with the summary so far.
        assert "They counted to **five**." in _sent(alpha.requests[1])[0]

        await chat.button("Edit summary").click()
        await page.get_by_role("textbox", name="Summary").fill("They counted to six.")
        await chat.button("Save summary").click()
        await page.reload()
        await expect(summary).to_contain_text("They counted to six.")
        await chat.ask("And now?")
        await expect(chat.answers.last).to_contain_text("They counted")
        messages = alpha.requests[-1]["messages"]
        assert messages[0] == {
            "role": "system",
            "content": "Summary of the earlier part of this chat:\nThey counted to six.",
        }
        assert "Question 0" not in [message["content"] for message in messages]
        assert messages[-1]["content"] == "And now?"

        await chat.button("Remove summary").click()
        await expect(summary).to_have_count(0)
        await expect(page.get_by_text("Messages above are no longer sent")).to_be_visible()


async def test_a_summary_can_be_cancelled_and_a_failure_is_reported(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    async with gateway_with(served(alpha, context=512)) as url:
        chat = await _open_long_chat(page, url)
        await chat.button("Summarize them").click()
        cancelled = await alpha.next_answer()
        await chat.button("Cancel").click()
        await asyncio.wait_for(cancelled.abandoned.wait(), 20)
        await chat.button("Summarize them").click()
        failed = await alpha.next_answer()
        await failed.say("They")
        await failed.cut()
        await expect(chat.notice).to_contain_text("No summary: ")
        await expect(chat.button("Summarize them")).to_be_visible()
