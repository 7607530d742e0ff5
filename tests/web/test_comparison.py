"""Several models answer the same question side by side."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_models_answer_side_by_side_and_can_be_stopped_separately(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    await chat.picker.click()
    await chat.button("Compare with beta").click()
    await chat.page.keyboard.press("Escape")
    await chat.ask("Which is best?")
    first, second = await alpha.next_answer(), await beta.next_answer()
    assert first.body["messages"] == second.body["messages"]
    await first.say("Alpha ", "is ")
    await second.say("Beta ", "is ")
    await expect(chat.answer_of("alpha")).to_contain_text("Alpha is")
    await expect(chat.answer_of("beta")).to_contain_text("Beta is")
    one = await chat.answer_of("alpha").bounding_box()
    other = await chat.answer_of("beta").bounding_box()
    assert one is not None
    assert other is not None
    assert one["y"] == other["y"]
    assert one["x"] + one["width"] <= other["x"]

    await chat.button("Stop beta").click()
    await asyncio.wait_for(second.abandoned.wait(), 15)
    assert not first.abandoned.is_set()
    await expect(chat.answer_of("beta")).to_contain_text("Stopped.")
    await first.finish("best.", tokens=3)
    speed = chat.answer_of("alpha").get_by_role("list", name="Speed")
    await expect(speed).to_contain_text("to first token")
    await expect(speed).to_contain_text("tokens/s")
    await expect(speed).to_contain_text("3 tokens")


async def test_the_url_selects_the_models(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    alpha.always_say("From alpha.")
    beta.always_say("From beta.")
    await chat.open("?models=beta,alpha")
    await chat.ask("Hello")
    await expect(chat.answers.nth(0)).to_contain_text("From beta.")
    await expect(chat.answers.nth(1)).to_contain_text("From alpha.")


async def test_each_model_receives_its_own_answers(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    await chat.open("?models=alpha,beta")
    await chat.ask("Choose a number")
    await (await alpha.next_answer()).finish("One.")
    await (await beta.next_answer()).finish("<think>Hm.</think>Two.")
    await expect(chat.button("Send")).to_be_visible()
    await chat.ask("Why?")
    for model, own in ((alpha, "One."), (beta, "Two.")):
        answer = await model.next_answer()
        assert answer.body["messages"][1] == {"role": "assistant", "content": own}
        await answer.finish("So.")


async def test_a_blind_comparison_shows_names_and_speeds_after_the_vote(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    alpha.always_say("From one.")
    beta.always_say("From two.")
    await chat.compare_blindly("alpha", "beta")
    await chat.ask("Hello")
    shown = chat.page.get_by_role("group", name="Question and answers")
    await expect(shown.get_by_role("group", name="Which answer is better?")).to_be_visible()
    await expect(shown).not_to_contain_text("alpha")
    await expect(shown).not_to_contain_text("to first token")
    favourite = chat.answer_of("Model B")
    text = await favourite.locator(".markdown").inner_text()
    await chat.button("Model B").click()
    winner = {"From one.": "alpha", "From two.": "beta"}[text]
    await expect(shown).to_contain_text(f"You preferred {winner}.")
    await expect(chat.answer_of("alpha")).to_contain_text("to first token")


async def test_automatic_lets_the_gateway_choose_and_shows_which_model_answered(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    alpha.always_say("Here.")
    beta.always_say("Here.")
    await chat.picker.click()
    await chat.page.get_by_role("button", name="Automatic").click()
    await chat.ask("Anyone?")
    await expect(chat.answer_of("Automatic")).to_contain_text("answered by")
