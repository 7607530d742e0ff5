"""What a person meets every day: focus, targets, long questions, search, paper, small screens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import TIMEOUT_MS, GatewayFactory, served
from tests.web.stored_chats import conversation, import_conversations

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _box(locator: Locator) -> dict[str, float]:
    box = await locator.bounding_box()
    assert box is not None
    return {"y": box["y"], "height": box["height"], "bottom": box["y"] + box["height"]}


async def test_the_focus_stays_at_the_answer_after_its_buttons(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    answer = chat.answer_of("alpha")
    await chat.ask("Hello")
    await (await alpha.next_answer()).finish("Half", reason="length")
    await chat.button("Continue").focus()
    await chat.page.keyboard.press("Enter")
    rest = await alpha.next_answer()
    await expect(answer).to_be_focused()
    await rest.finish(" and whole.")
    await chat.button("Regenerate").focus()
    await chat.page.keyboard.press("Enter")
    again = await alpha.next_answer()
    await expect(answer).to_be_focused()
    await again.finish("Once more.")
    await expect(chat.button("Regenerate")).to_be_visible()
    # From there, Tab reaches the buttons of the answer.
    await chat.page.keyboard.press("Tab")
    assert await answer.evaluate("answer => answer.contains(document.activeElement)")


async def test_a_vote_moves_no_card_and_can_be_undone_and_is_counted(
    chat: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    alpha.always_say("From one.")
    beta.always_say("From two.")
    await chat.compare_blindly("alpha", "beta")
    texts = chat.page.locator("article .markdown")
    group = chat.page.get_by_role("group", name="Which answer is better?")
    wins = {"alpha": 0, "beta": 0}
    # The order is random: four comparisons leave one case in sixteen to chance.
    for number in range(1, 5):
        await chat.ask(f"Question {number}")
        await expect(group).to_have_count(1)
        before = (await texts.all_inner_texts())[-2:]
        await group.get_by_role("button", name="Model A").focus()
        await chat.page.keyboard.press("Enter")
        await expect(group).to_have_count(0)
        assert (await texts.all_inner_texts())[-2:] == before
        await expect(chat.page.locator(":focus")).to_have_count(1)
        winner = {"From one.": "alpha", "From two.": "beta"}[before[0]]
        wins[winner] += 1
        last = chat.page.get_by_role("group", name="Question and answers").last
        await expect(last).to_contain_text(f"You preferred {winner}.")
        await expect(last.get_by_role("article").first).to_contain_text("Model A")
    await chat.button("Undo").last.click()
    wins[winner] -= 1
    await group.get_by_role("button", name="Tie").click()
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name="Your votes").click()
    await expect(chat.dialog("Your votes").get_by_role("listitem")).to_have_text(
        f"alpha {wins['alpha']}{wins['beta']} beta1 tie"
    )


async def test_a_long_question_is_folded(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Read.")
    # Chromium needs seconds to insert thousands of lines into any text area.
    await chat.ask("\n".join(f"Line {number}" for number in range(300)))
    await expect(chat.answers).to_contain_text("Read.")
    bubble = chat.page.locator(".bubble")
    assert (await _box(bubble))["height"] < 400
    await chat.button("Show all").click()
    assert (await _box(bubble))["height"] > 5_000
    await chat.button("Show less").click()
    assert (await _box(bubble))["height"] < 400


async def test_a_search_without_accents_goes_to_the_word(chat: ChatPage) -> None:
    filler = "Nothing to find here. " * 60
    exchanges = [(f"Question {number}", filler) for number in range(60)]
    exchanges[5] = ("Where to?", f"{filler} The café is open.")
    await import_conversations(chat, conversation("far", "Somewhere", *exchanges))
    await chat.page.keyboard.press("Control+k")
    await chat.page.get_by_role("combobox").fill("CAFE")
    await expect(chat.page.get_by_role("option")).to_contain_text("café")
    await chat.page.keyboard.press("Enter")
    await expect(chat.page.get_by_text("Where to?")).to_be_attached()
    # The word is marked, which is no element.
    top = await chat.page.evaluate(
        """async () => {
          for (let frames = 0; !CSS.highlights.has("found"); frames += 1) {
            if (frames > 600) return null;
            await new Promise(requestAnimationFrame);
          }
          const [range] = CSS.highlights.get("found");
          return range.toString() === "café" && range.getBoundingClientRect().top;
        }"""
    )
    assert top is not None
    assert 0 < top < 900


async def test_the_paper_has_the_whole_chat_and_no_controls(chat: ChatPage) -> None:
    exchanges = [(f"Question {number}", "A paragraph of text. " * 40) for number in range(44)]
    folded = "A long question.\n" * 60
    exchanges += [(f"{folded}Its last line.", "Yes."), ("Question 44", "The last answer.")]
    await import_conversations(chat, conversation("long", "On paper", *exchanges))
    await chat.listed("On paper").click()
    await expect(chat.page.get_by_text("Question 44")).to_be_in_viewport()
    # In this order: the view of the paper has another height, and scrolling loads questions too.
    await chat.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    await expect(chat.page.get_by_text("Question 0", exact=True)).to_be_attached()
    await chat.page.emulate_media(media="print", color_scheme="dark")
    await expect(chat.page.get_by_text("Question 0", exact=True)).to_be_visible()
    for control in (chat.message, chat.picker, chat.page.get_by_role("navigation")):
        await expect(control).to_be_hidden()
    height = await chat.page.evaluate("document.documentElement.scrollHeight")
    assert (await _box(chat.page.get_by_text("Question 44")))["bottom"] <= height
    await expect(chat.page.locator("html")).to_have_css("color-scheme", "light")
    bubble = chat.page.locator(".bubble", has_text="A long question.")
    assert await bubble.evaluate("bubble => bubble.scrollHeight - bubble.clientHeight") == 0


async def test_the_field_is_under_the_greeting(chat: ChatPage) -> None:
    greeting = await _box(chat.page.get_by_role("heading", name="What can I help with?"))
    field = await _box(chat.message)
    assert 0 < field["y"] - greeting["bottom"] < 120


async def _phone(browser: Browser, url: str, width: int, height: int) -> ChatPage:
    context = await browser.new_context(
        viewport={"width": width, "height": height}, is_mobile=True, has_touch=True
    )
    context.set_default_timeout(TIMEOUT_MS)
    chat = ChatPage(await context.new_page(), url)
    await chat.open()
    return chat


async def test_buttons_are_large_enough_for_a_finger(
    browser: Browser, gateway: str, alpha: ScriptedModel
) -> None:
    alpha.always_say("Some `code`:\n\n```python\nx\n```\n\n| a |\n|---|\n| 1 |\n")
    chat = await _phone(browser, gateway, 390, 844)
    await chat.message.fill("Hello")
    await chat.button("Send").tap()
    await expect(chat.button("Copy code")).to_be_visible()
    await expect(chat.button("Regenerate")).to_be_visible()
    await chat.button("Show chats").tap()
    await expect(chat.listed("Hello")).to_be_in_viewport()
    # While the drawer moves, sizes are fractions.
    await chat.page.locator(".sidebar").evaluate(
        "one => Promise.all(one.getAnimations().map(({ finished }) => finished)).then(() => null)"
    )
    small = """() => [...document.querySelectorAll("button, .entry a")]
      .filter((element) => element.checkVisibility() && !element.closest(".storage"))
      .map((element) => [element.ariaLabel ?? element.textContent, element.getBoundingClientRect()])
      .filter(([, { width, height }]) => width < 44 || height < 44)
      .map(([name, { width, height }]) => `${name}: ${width} x ${height}`)"""
    assert await chat.page.evaluate(small) == []
    await chat.page.context.close()


async def test_a_low_screen_leaves_room_for_the_conversation(
    browser: Browser, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.always_say("Hello.")
    placeholder = {"model": "tiny", "reason": "no hub could be reached"}
    async with gateway_with(served(alpha, placeholder=placeholder)) as url:
        # A page of 1280 by 1024 at 400 % zoom.
        chat = await _phone(browser, url, 320, 256)
        await chat.message.fill("Hi")
        await chat.button("Send").tap()
        await expect(chat.answers).to_contain_text("Hello.")
        assert (await _box(chat.page.locator(".thread")))["height"] >= 110
        await chat.page.context.close()


async def test_the_light_is_red_when_the_server_cannot_be_reached(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    async with gateway_with(served(alpha)) as url:
        chat = ChatPage(page, url)
        await chat.open()
        await expect(chat.picker.locator(".light.ready")).to_have_count(1)
    await expect(chat.picker.locator(".light.down")).to_have_count(1)


async def test_the_page_has_the_name_that_the_operator_gave_it(page: Page, gateway: str) -> None:
    async def named(route: Route) -> None:
        response = await route.fetch()
        status: dict[str, Any] = await response.json()
        await route.fulfill(response=response, body=json.dumps({**status, "name": "Acme AI"}))

    await page.route("**/status", named)
    chat = ChatPage(page, gateway)
    await chat.open()
    await expect(page).to_have_title("Acme AI")
    await expect(page.get_by_role("complementary").get_by_text("Acme AI")).to_be_visible()


async def test_a_notice_covers_nothing_and_ends(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.page.clock.install()
    await import_conversations(chat, conversation("one", "One", ("Hi", "Hello")))
    async with chat.page.expect_file_chooser() as chooser:
        await chat.button("More").click()
        await chat.page.get_by_role("menuitem", name="Import").click()
    await (await chooser.value).set_files(
        {"name": "x.json", "mimeType": "application/json", "buffer": b"{"}
    )
    await expect(chat.notice).to_contain_text("isn't a chat export")
    notice = await _box(chat.notice)
    assert notice["bottom"] <= (await _box(chat.message))["y"]
    await chat.page.mouse.move(0, 0)
    await chat.page.clock.run_for(60_000)
    await expect(chat.notice).to_have_count(0)


async def test_an_answer_is_copied_without_https(
    page: Page, gateway: str, alpha: ScriptedModel
) -> None:
    # As on a page that is loaded over plain HTTP from another machine.
    await page.add_init_script("delete Navigator.prototype.clipboard")
    alpha.always_say("Copied *words*.")
    chat = ChatPage(page, gateway)
    await chat.open()
    await chat.ask("Speak")
    await expect(chat.answers).to_contain_text("Copied words.")
    copy = chat.button("Copy answer")
    await copy.click()
    await expect(page.get_by_role("status").filter(has_text="Copied.")).to_have_count(1)
    await expect(copy).to_be_focused()
    await chat.message.press("Control+v")
    await expect(chat.message).to_have_value("Copied *words*.")
