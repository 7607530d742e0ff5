"""How a model writes: the fields of the chat's settings, and what the model receives for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.axe import violations
from tests.web.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _number(chat: ChatPage, name: str) -> Locator:
    return chat.page.get_by_role("spinbutton", name=name)


async def _open_settings(chat: ChatPage) -> None:
    await chat.button("Chat settings").click()
    await chat.page.get_by_text("More settings").click()


async def _answered(chat: ChatPage, question: str) -> None:
    await chat.page.keyboard.press("Escape")
    await chat.ask(question)
    await expect(chat.answers).to_have_count(1)
    await expect(chat.button("Send")).to_be_visible()


async def test_every_setting_reaches_the_model(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Aye.")
    # A double click does not close what its first click has opened.
    await chat.button("Chat settings").dblclick()
    await expect(_number(chat, "Temperature")).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await expect(chat.dialog("Chat settings")).to_be_hidden()
    await _open_settings(chat)
    for name, value in {
        "Temperature": "1.35",
        "Top K": "40",
        "Min P": "0.05",
        "Repetition penalty": "1.1",
    }.items():
        await _number(chat, name).fill(value)
    await expect(chat.page.get_by_role("slider", name="Temperature")).to_have_value("1.35")
    await chat.page.get_by_label("Stop words").fill("END\n\\nUser:")
    assert await violations(chat.page) == []
    await _answered(chat, "Ready?")
    sent = alpha.requests[0]
    names = ("temperature", "top_k", "min_p", "repeat_penalty", "stop")
    assert {name: sent[name] for name in names} == {
        "temperature": 1.35,
        "top_k": 40,
        "min_p": 0.05,
        "repeat_penalty": 1.1,
        "stop": ["END", "\nUser:"],
    }
    # After a reload, settings in force are visible at once.
    await chat.page.reload()
    await chat.button("Chat settings").click()
    await expect(_number(chat, "Top K")).to_be_visible()
    await expect(_number(chat, "Top K")).to_have_value("40")
    await expect(chat.page.get_by_label("Stop words")).to_have_value("END\n\\nUser:")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("Temperature", "3", "Enter a number from 0 to 2."),
        ("Top P", "1.5", "Enter a number from 0 to 1."),
        ("Top K", "2.5", "Enter a whole number of at least 0."),
        ("Min P", "-1", "Enter a number from 0 to 1."),
        ("Repetition penalty", "0", "Enter a number from 0.1 to 10."),
    ],
)
async def test_a_value_out_of_range_is_reported(
    chat: ChatPage, name: str, value: str, problem: str
) -> None:
    await _open_settings(chat)
    await _number(chat, name).fill(value)
    await expect(chat.page.get_by_role("alert")).to_contain_text(problem)
    await expect(_number(chat, name)).to_have_attribute("aria-invalid", "true")
    await expect(_number(chat, name)).to_have_value(value)


async def test_too_many_stop_words_are_reported(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Aye.")
    await _open_settings(chat)
    field = chat.page.get_by_label("Stop words")
    await field.fill("\n".join(f"word {number}" for number in range(65)))
    await expect(chat.page.get_by_role("alert")).to_contain_text("at most 64 stop words")
    await field.fill("x" * 513)
    await expect(chat.page.get_by_role("alert")).to_contain_text("at most 512 characters")
    await field.fill("")
    await _answered(chat, "Ready?")
    assert "stop" not in alpha.requests[0]


async def _thinking(page: Page, *models: str) -> None:
    """Report that only these models can think."""

    async def report(route: Route) -> None:
        response = await route.fetch()
        status: dict[str, Any] = await response.json()
        for model in status["models"]:
            model["capabilities"]["thinking"] = model["id"] in models
        await route.fulfill(response=response, body=json.dumps(status))

    await page.route("**/status", report)


async def test_only_a_model_that_thinks_has_a_setting_for_it(
    page: Page, gateway: str, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    alpha.always_say("Aye.")
    beta.always_say("Nay.")
    await _thinking(page, "alpha")
    chat = ChatPage(page, gateway)
    await chat.open("?models=beta")
    await chat.button("Chat settings").click()
    await expect(_number(chat, "Temperature")).to_be_visible()
    await expect(page.get_by_label("Thinking")).to_have_count(0)
    await chat.open("?models=alpha,beta")
    await chat.button("Chat settings").click()
    await page.get_by_label("Thinking").select_option("Off")
    await expect(page.get_by_text("How long alpha may think")).to_be_visible()
    await page.keyboard.press("Escape")
    await chat.ask("Ready?")
    await expect(chat.answer_of("alpha")).to_contain_text("Aye.")
    await expect(chat.answer_of("beta")).to_contain_text("Nay.")
    [thinks], [does_not] = alpha.requests, beta.requests
    assert thinks["reasoning_effort"] == "none"
    assert thinks["chat_template_kwargs"]["enable_thinking"] is False
    assert "reasoning_effort" not in does_not


async def test_new_chats_begin_with_the_saved_settings(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Aye.")
    await _open_settings(chat)
    await _number(chat, "Top K").fill("7")
    await chat.button("Save as default").click()
    await chat.page.reload()
    await expect(chat.message).to_be_visible()
    await _answered(chat, "Ready?")
    assert alpha.requests[0]["top_k"] == 7
