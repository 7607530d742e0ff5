"""Streaming answers: progress, queueing, stopping, failures, continuing."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import GatewayFactory, served

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_appears_while_it_is_written(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Count to three")
    answer = await alpha.next_answer()
    shown = chat.answer_of("alpha")
    await expect(shown).to_contain_text("Thinking…")
    await answer.say("One, ")
    await expect(shown).to_contain_text("One,")
    await expect(shown).not_to_contain_text("two")
    await answer.say("two, ")
    await expect(shown).to_contain_text("One, two,")
    await answer.finish("three.", tokens=7)
    await expect(shown).to_contain_text("One, two, three.")
    await expect(shown).not_to_contain_text("to first token")
    await chat.button("Speed").click()
    await expect(shown).to_contain_text("to first token")
    await expect(shown).to_contain_text("7 tokens")
    await expect(chat.stop).to_have_count(0)


async def test_stop_ends_the_answer_in_the_page_and_on_the_model_server(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Tell me everything")
    answer = await alpha.next_answer()
    await answer.say("To begin with")
    await expect(chat.answer_of("alpha")).to_contain_text("To begin with")
    await chat.stop.click()
    await asyncio.wait_for(answer.abandoned.wait(), 15)
    await expect(chat.answer_of("alpha")).to_contain_text("Stopped.")
    await expect(chat.answer_of("alpha")).to_contain_text("To begin with")
    await expect(chat.button("Send")).to_be_visible()


async def test_a_stopped_answer_can_be_continued(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("A sentence, please")
    answer = await alpha.next_answer()
    await answer.say("The quick brown")
    await expect(chat.answer_of("alpha")).to_contain_text("The quick brown")
    await chat.page.keyboard.press("Escape")
    await chat.button("Continue").click()
    rest = await alpha.next_answer()
    assert rest.body["messages"] == [
        {"role": "user", "content": "A sentence, please"},
        {"role": "assistant", "content": "The quick brown"},
    ]
    # The template of a model that thinks by default refuses to continue a message otherwise.
    assert rest.body["chat_template_kwargs"] == {"enable_thinking": False}
    await rest.finish(" fox.")
    await expect(chat.answer_of("alpha").get_by_text("The quick brown fox.")).to_be_visible()


async def test_a_continued_answer_does_not_repeat_its_beginning(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("A sentence, please")
    await (await alpha.next_answer()).finish("The quick brown", reason="length", tokens=3)
    await chat.button("Continue").click()
    # llama-server repeats the text that it continues in its first delta.
    await (await alpha.next_answer()).finish("The quick brown fox", " jumps.", tokens=4)
    text = chat.answer_of("alpha").locator(".markdown")
    await expect(text).to_have_text("The quick brown fox jumps.")
    await chat.button("Speed").click()
    await expect(chat.answer_of("alpha")).to_contain_text("7 tokens")
    await chat.page.reload()
    await expect(text).to_have_text("The quick brown fox jumps.")


async def test_a_connection_lost_during_an_answer_is_shown_and_can_be_retried(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Hello?")
    answer = await alpha.next_answer()
    await answer.say("I was about to")
    await expect(chat.answer_of("alpha")).to_contain_text("I was about to")
    await answer.cut()
    alert = chat.answer_of("alpha").get_by_role("alert")
    await expect(alert).to_contain_text("The text so far is kept.")
    await expect(chat.answer_of("alpha")).to_contain_text("I was about to")
    await expect(alert.get_by_role("button", name="Continue")).to_be_visible()
    await alert.get_by_role("button", name="Retry").click()
    await (await alpha.next_answer()).finish("Here I am again.")
    await expect(chat.answer_of("alpha")).to_contain_text("Here I am again.")
    await expect(alert).to_have_count(0)


async def test_an_answer_cut_at_the_token_limit_shows_it_and_can_be_continued(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("A long story")
    await (await alpha.next_answer()).finish("Once upon", reason="length")
    await expect(chat.answer_of("alpha")).to_contain_text("Stopped at the length limit.")
    await chat.button("Continue").click()
    await (await alpha.next_answer()).finish(" a time.")
    await expect(chat.answer_of("alpha")).to_contain_text("Once upon a time.")


async def test_thinking_is_collapsed(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Is 91 prime?")
    answer = await alpha.next_answer()
    await answer.say("<think>Seven times ", "thirteen")
    summary = chat.answer_of("alpha").locator("summary")
    await expect(summary).to_have_text("Thinking")
    await answer.finish("</think>No.")
    await expect(summary).to_have_text("Thoughts")
    await expect(chat.answer_of("alpha").get_by_text("No.")).to_be_visible()
    await expect(chat.page.get_by_text("Seven times thirteen")).to_be_hidden()
    await summary.click()
    await expect(chat.page.get_by_text("Seven times thirteen")).to_be_visible()


async def test_reasoning_sent_separately_is_collapsed(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Is 91 prime?")
    answer = await alpha.next_answer()
    await answer.think("Thirteen times seven")
    await expect(chat.answer_of("alpha").locator("summary")).to_have_text("Thinking")
    await answer.finish("No.")
    await expect(chat.answer_of("alpha").get_by_text("No.")).to_be_visible()
    await expect(chat.page.get_by_text("Thirteen times seven")).to_be_hidden()


async def test_regenerating_keeps_the_first_answer(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("A name for a cat")
    await (await alpha.next_answer()).finish("Mittens")
    await chat.button("Regenerate").click()
    await (await alpha.next_answer()).finish("Schrödinger")
    shown = chat.answer_of("alpha")
    await expect(shown).to_contain_text("Schrödinger")
    await expect(shown).to_contain_text("2 / 2")
    await chat.button("Earlier version").click()
    await expect(shown).to_contain_text("Mittens")
    assert alpha.requests[1]["messages"] == [{"role": "user", "content": "A name for a cat"}]


async def test_an_edited_question_opens_a_branch_and_keeps_the_old_one(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Capital of France?")
    await (await alpha.next_answer()).finish("Paris.")
    await expect(chat.button("Send")).to_be_visible()
    await chat.ask("And its river?")
    await (await alpha.next_answer()).finish("The Seine.")
    await expect(chat.answers.last).to_contain_text("The Seine.")
    await chat.button("Edit message").first.click()
    await chat.page.get_by_role("textbox", name="Edit your message").fill("Capital of Italy?")
    await chat.page.keyboard.press("Enter")
    edited = await alpha.next_answer()
    assert edited.body["messages"] == [{"role": "user", "content": "Capital of Italy?"}]
    await edited.finish("Rome.")
    await expect(chat.answers).to_have_count(1)
    await expect(chat.answers).to_contain_text("Rome.")
    await chat.button("Earlier version").click()
    await expect(chat.answers).to_have_count(2)
    await expect(chat.answers.last).to_contain_text("The Seine.")


async def test_a_queued_question_shows_its_position(chat: ChatPage, alpha: ScriptedModel) -> None:
    running = []
    for _ in range(2):
        await chat.ask("Take a slot")
        running.append(await alpha.next_answer())
        await chat.page.keyboard.press("Control+Shift+O")
    await chat.ask("First in line")
    await expect(chat.answer_of("alpha")).to_contain_text("You're next")
    await chat.page.keyboard.press("Control+Shift+O")
    await chat.ask("Second in line")
    await expect(chat.answer_of("alpha")).to_contain_text("2nd in line")
    await running[0].finish("Done.")
    first = await alpha.next_answer()
    assert first.body["messages"][-1]["content"] == "First in line"
    await expect(chat.answer_of("alpha")).to_contain_text("You're next")
    await first.finish("Done.")
    await (await alpha.next_answer()).finish("Done.")
    await expect(chat.answer_of("alpha")).to_contain_text("Done.")
    await running[1].finish("Done.")


async def test_a_sleeping_model_is_loaded_for_a_question(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.server.props = {"is_sleeping": True}
    async with gateway_with(served(alpha, sleeps=True)) as url:
        chat = ChatPage(page, url)
        await chat.open()
        await chat.picker.click()
        row = page.get_by_role("listitem").filter(has_text="alpha")
        await expect(row).to_contain_text("Asleep")
        await expect(row).to_contain_text("The first answer takes longer")
        await page.keyboard.press("Escape")
        await chat.ask("Wake up")
        answer = await alpha.next_answer()
        await expect(chat.answer_of("alpha")).to_contain_text("Loading the model…")
        alpha.server.props = {"is_sleeping": False}
        await answer.finish("Good morning.")
        await expect(chat.answer_of("alpha")).to_contain_text("Good morning.")


async def test_a_full_queue_is_shown(
    chat: ChatPage, alpha: ScriptedModel, gateway_with: GatewayFactory
) -> None:
    async with gateway_with(served(alpha, slots=1), limits={"queue": 0}) as url:
        full = ChatPage(chat.page, url)
        await full.open()
        await full.ask("Take the slot")
        taken = await alpha.next_answer()
        await full.page.keyboard.press("Control+Shift+O")
        await full.ask("Too many")
        alert = full.answer_of("alpha").get_by_role("alert")
        await expect(alert).to_contain_text("This model is busy.")
        await expect(alert).to_contain_text("Try again in")
        await taken.finish("Now.")
        # The slot is free when the page has the end.
        await expect(full.page.get_by_role("img", name="Answering:")).to_have_count(0)
        await alert.get_by_role("button", name="Retry").click()
        await (await alpha.next_answer()).finish("Now you.")
        await expect(full.answer_of("alpha")).to_contain_text("Now you.")


async def test_an_answer_continues_while_another_conversation_is_open(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("A slow question")
    slow = await alpha.next_answer()
    await slow.say("Let me ")
    await expect(chat.answer_of("alpha")).to_contain_text("Let me")
    await chat.page.keyboard.press("Control+Shift+O")
    await expect(chat.answers).to_have_count(0)
    sign = chat.listed("A slow question").get_by_role("img", name="Answering")
    await expect(sign).to_be_visible()
    await slow.finish("think.")
    await expect(sign).to_have_count(0)
    await chat.listed("A slow question").click()
    await expect(chat.answer_of("alpha")).to_contain_text("Let me think.")


async def test_complete_blocks_are_not_rebuilt_while_the_answer_grows(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Much text")
    answer = await alpha.next_answer()
    await answer.say("First paragraph.\n\n```python\nprint(1)\n")
    code = chat.answer_of("alpha").locator("code")
    await expect(code).to_contain_text("print(1)")
    mark = "element => { element.dataset.mark = 'kept' }"
    await chat.answer_of("alpha").locator("p").first.evaluate(mark)
    await code.evaluate(mark)
    await answer.say("print(2)\n")
    await expect(code).to_contain_text("print(2)")
    await expect(code).to_have_attribute("data-mark", "kept")
    await answer.finish("```\n\nLast paragraph.")
    await expect(chat.answer_of("alpha")).to_contain_text("Last paragraph.")
    first = chat.answer_of("alpha").locator("p").first
    await expect(first).to_have_text("First paragraph.")
    await expect(first).to_have_attribute("data-mark", "kept")


# Scrolling with the wheel continues for some frames.
SCROLL_ENDED = """async element => {
    for (let before = -1; before !== element.scrollTop; ) {
        before = element.scrollTop;
        await new Promise(next => setTimeout(next, 200));
    }
}"""


async def test_the_view_follows_the_end_until_the_user_scrolls_up(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("A long list")
    answer = await alpha.next_answer()
    await answer.say(*(f"- Point {number}\n" for number in range(80)))
    await expect(chat.page.get_by_text("Point 79")).to_be_in_viewport()
    await chat.page.locator(".thread").hover()
    await chat.page.mouse.wheel(0, -1500)
    to_end = chat.button("Scroll to bottom")
    await expect(to_end).to_be_visible()
    place = "element => element.scrollTop"
    await chat.page.locator(".thread").evaluate(SCROLL_ENDED)
    before = await chat.page.locator(".thread").evaluate(place)
    await answer.say(*(f"- Point {number}\n" for number in range(80, 120)))
    await expect(chat.page.get_by_text("Point 119")).to_be_attached()
    assert await chat.page.locator(".thread").evaluate(place) == before
    await to_end.click()
    await expect(chat.page.get_by_text("Point 119")).to_be_in_viewport()
    await answer.finish("\nThe end.")
    await expect(chat.page.get_by_text("The end.")).to_be_in_viewport()
