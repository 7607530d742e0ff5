"""Messages that are changed or deleted, pinned chats, titles, and the deletion of all chats."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Locator, Page, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.axe import violations
from tests.web.chat_page import ChatPage
from tests.web.conftest import GatewayFactory, served
from tests.web.stored_chats import conversation, import_conversations

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _act(chat: ChatPage, button: Locator, action: str) -> None:
    await button.click()
    await chat.page.get_by_role("menuitem", name=action, exact=True).click()


async def _with(chat: ChatPage, *exchanges: tuple[str, str]) -> None:
    await import_conversations(chat, conversation("one", "One", *exchanges))
    await chat.listed("One").click()
    await expect(chat.answers).to_have_count(len(exchanges))


def _sent(model: ScriptedModel) -> list[str]:
    return [message["content"] for message in model.requests[-1]["messages"]]


async def test_an_answer_is_edited_and_the_model_receives_the_new_text(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Noted.")
    await _with(chat, ("Capital of Australia?", "Sydney."))
    await _act(chat, chat.button("More about this answer"), "Edit answer")
    field = chat.page.get_by_role("textbox", name="Edit the answer of alpha")
    await expect(field).to_be_focused()
    assert await violations(chat.page) == []
    await field.fill("Canberra.")
    await chat.button("Save").click()
    await expect(chat.answers).to_contain_text("Canberra.")
    await expect(chat.answers).to_contain_text("Edited")
    await expect(chat.page.locator(":focus")).to_have_count(1)
    await chat.ask("Sure?")
    await expect(chat.answers.last).to_contain_text("Noted.")
    assert _sent(alpha) == ["Capital of Australia?", "Canberra.", "Sure?"]
    await chat.page.reload()
    await expect(chat.answers.first).to_contain_text("Canberra.")


async def test_a_question_is_corrected_without_another_answer(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await _with(chat, ("A tpyo", "An answer."))
    await chat.button("Edit message").click()
    await chat.page.get_by_label("Edit your message").fill("A typo")
    await chat.button("Save").click()
    await expect(chat.page.locator(".bubble")).to_have_text("A typo")
    await expect(chat.answers).to_contain_text("An answer.")
    await expect(chat.page.get_by_role("group", name="Versions: this question")).to_have_count(0)
    assert alpha.requests == []


async def test_a_message_in_the_middle_is_deleted_and_comes_back(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Ok.")
    await _with(chat, ("First", "1"), ("Second", "2"), ("Third", "3"))
    bubbles = chat.page.locator(".bubble")
    await _act(chat, chat.button("More about this message").nth(1), "Delete message")
    await expect(bubbles).to_have_text(["First", "Third"])
    await chat.notice.get_by_role("button", name="Undo").click()
    await expect(bubbles).to_have_text(["First", "Second", "Third"])
    await _act(chat, chat.button("More about this message").nth(1), "Delete message")
    await expect(bubbles).to_have_text(["First", "Third"])
    await chat.page.reload()
    await expect(bubbles).to_have_text(["First", "Third"])
    await chat.button("Edit message").last.click()
    await chat.page.get_by_label("Edit your message").fill("Third again")
    await chat.page.keyboard.press("Enter")
    await expect(bubbles).to_have_text(["First", "Third again"])
    await expect(chat.answers.last).to_contain_text("Ok.")
    assert _sent(alpha) == ["First", "1", "Third again"]


async def test_an_answer_is_deleted_and_comes_back(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Better.")
    await _with(chat, ("Question", "Worse."))
    await chat.button("Regenerate").click()
    await expect(chat.answers).to_contain_text("Better.")
    await _act(chat, chat.button("More about this answer"), "Delete answer")
    await expect(chat.answers).to_contain_text("Worse.")
    await _act(chat, chat.button("More about this answer"), "Delete answer")
    await expect(chat.answers).to_contain_text("Answer deleted.")
    await chat.notice.get_by_role("button", name="Undo").click()
    await expect(chat.answers).to_contain_text("Worse.")
    await expect(chat.answers).not_to_contain_text("deleted")


async def test_another_tab_does_not_bring_a_deleted_message_back(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Ok.")
    await _with(chat, ("First", "1"), ("Second", "2"))
    other = ChatPage(await chat.page.context.new_page(), chat.url)
    await other.page.goto(f"{chat.url}/#/c/one")
    await expect(other.answers).to_have_count(2)
    await _act(chat, chat.button("More about this message").first, "Delete message")
    await expect(other.page.locator(".bubble")).to_have_text(["Second"])
    await other.ask("Third")
    await expect(chat.page.locator(".bubble")).to_have_text(["Second", "Third"])
    await chat.page.reload()
    await expect(chat.page.locator(".bubble")).to_have_text(["Second", "Third"])


async def test_pinned_chats_are_on_top(chat: ChatPage) -> None:
    await import_conversations(
        chat,
        conversation("old", "Old one", ("Hi", "Hello")),
        conversation("new", "New one", ("Hi", "Hello"), updatedAt=1_790_000_100_000),
    )
    links = chat.page.get_by_role("navigation", name="Chats").get_by_role("link")
    await expect(links).to_have_text(["New one", "Old one"])
    await _act(chat, chat.button("Actions for Old one"), "Pin")
    await expect(links).to_have_text(["Old one", "New one"])
    await expect(chat.page.get_by_role("heading", name="Pinned")).to_be_visible()
    await chat.page.reload()
    await expect(links).to_have_text(["Old one", "New one"])
    await _act(chat, chat.button("Actions for Old one"), "Unpin")
    await expect(links).to_have_text(["New one", "Old one"])


async def test_the_model_writes_the_title(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.title = '"**Tides and the Moon**"'
    alpha.always_say("Because of the moon.")
    priorities: list[str | None] = []
    chat.page.on(
        "request",
        lambda request: (
            priorities.append(request.headers.get("x-priority"))
            if request.method == "POST"
            else None
        ),
    )
    await chat.ask("Please explain to me why there are tides")
    await expect(chat.listed("Tides and the Moon")).to_be_visible()
    await expect(chat.page).to_have_title("Tides and the Moon · Chat")
    [asked] = alpha.title_requests
    assert asked["max_tokens"] <= 32
    assert priorities == [None, "low"]
    # Once: after another question, only the next chat gets a title.
    await chat.ask("And at night?")
    await expect(chat.answers).to_have_count(2)
    await expect(chat.button("Send")).to_be_visible()
    await _next_chat_is_titled(chat, alpha)
    assert len(alpha.title_requests) == 2


async def _next_chat_is_titled(chat: ChatPage, model: ScriptedModel) -> None:
    """Wait until a new chat has a title: one of an earlier chat would have been written before."""
    model.title = "The next one"
    model.always_say("Yes.")
    await chat.page.keyboard.press("Control+Shift+O")
    await expect(chat.answers).to_have_count(0)
    await chat.ask("Next?")
    await expect(chat.listed("The next one")).to_be_visible()


async def test_a_question_does_not_wait_for_a_title(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.title = None
    await chat.ask("Tides?")
    await (await alpha.next_answer()).finish("The moon.")
    title = await alpha.next_answer()
    await chat.ask("And at night?")
    await asyncio.wait_for(title.abandoned.wait(), 10)
    await (await alpha.next_answer()).finish("Then too.")
    await (await alpha.next_answer()).finish("Moon and Tides")
    await expect(chat.listed("Moon and Tides")).to_be_visible()


async def test_a_title_of_the_user_stays(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.title = "Made up"
    await chat.ask("Tides?")
    answer = await alpha.next_answer()
    await _act(chat, chat.button("Actions for Tides?"), "Rename")
    await chat.page.get_by_label("Title").fill("Mine")
    await chat.page.keyboard.press("Enter")
    await answer.finish("The moon.")
    await expect(chat.button("Send")).to_be_visible()
    await _next_chat_is_titled(chat, alpha)
    await expect(chat.listed("Mine")).to_be_visible()
    assert len(alpha.title_requests) == 1


async def test_no_title_from_a_demo_model_or_when_it_is_turned_off(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    for model in (alpha, beta):
        model.title = "Made up"
        model.always_say("The moon.")
    demo = {"model": "tiny", "reason": "no hub could be reached"}
    async with gateway_with(served(alpha, placeholder=demo), served(beta)) as url:
        chat = ChatPage(page, url)
        await chat.open("?models=alpha")
        await chat.ask("Tides by a demo")
        await expect(chat.answers).to_contain_text("The moon.")
        await chat.open("?models=beta")
        await chat.button("More").click()
        await page.get_by_role("menuitem", name="Manage chats").click()
        await page.get_by_role("switch", name="Titles by the model").uncheck()
        await page.keyboard.press("Escape")
        await chat.ask("Tides without a title")
        await expect(chat.answers).to_contain_text("The moon.")
        await chat.ask("Again")
        await expect(chat.answers).to_have_count(2)
        await expect(chat.button("Send")).to_be_visible()
        await expect(chat.listed("Tides by a demo")).to_be_visible()
        await chat.button("More").click()
        await page.get_by_role("menuitem", name="Manage chats").click()
        await page.get_by_role("switch", name="Titles by the model").check()
        await page.keyboard.press("Escape")
        await _next_chat_is_titled(chat, beta)
        await expect(chat.listed("Tides without a title")).to_be_visible()
        assert (len(alpha.title_requests), len(beta.title_requests)) == (0, 1)


async def test_all_chats_are_deleted_after_a_question_and_come_back(chat: ChatPage) -> None:
    await import_conversations(
        chat,
        conversation("one", "One", ("Hi", "Hello")),
        conversation("two", "Two", ("Hi", "Hello")),
    )
    await chat.listed("One").click()
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name="Manage chats").click()
    await chat.button("Delete all chats").click()
    assert await violations(chat.page) == []
    async with chat.page.expect_download():
        await chat.button("Export them first").click()
    await chat.button("Delete 2 chats").click()
    await expect(chat.notice).to_contain_text("2 chats were deleted.")
    await expect(chat.answers).to_have_count(0)
    await expect(chat.listed("One")).to_have_count(0)
    await chat.notice.get_by_role("button", name="Undo").click()
    await expect(chat.listed("Two")).to_be_visible()
    await chat.page.reload()
    await expect(chat.listed("One")).to_be_visible()
    await expect(chat.listed("Two")).to_be_visible()
