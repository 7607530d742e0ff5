"""axe-core in every state of the chat page, in both themes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from app.chat.settings import KeyFile, Secrets
from tests.doubles.scripted_model import ScriptedModel
from tests.web.axe import assert_no_violations
from tests.web.chat_page import ChatPage
from tests.web.conftest import GatewayFactory, served
from tests.web.page_states import BLOCK_STORAGE, RICH_ANSWER
from tests.web.sample_files import png, text_file
from tests.web.stored_chats import conversation, import_conversations, import_file

pytestmark = pytest.mark.asyncio(loop_scope="session")

View = Callable[[ChatPage], Awaitable[None]]


async def _empty(chat: ChatPage) -> None:
    await expect(chat.page.get_by_text("What can I help with?")).to_be_visible()


async def _settings(chat: ChatPage) -> None:
    await chat.button("Chat settings").click()
    await assert_no_violations(chat.page)
    await chat.page.get_by_label("System prompt").fill("Answer briefly.")
    await chat.page.get_by_text("More settings").click()
    await chat.page.get_by_label("Seed").fill("-1")
    await expect(chat.page.get_by_text("Enter a whole number")).to_be_visible()


async def _files(chat: ChatPage) -> None:
    async with chat.page.expect_file_chooser() as chooser:
        await chat.button("Attach files").click()
    await (await chooser.value).set_files(
        [text_file("تقرير.csv", "a,b"), png("photo.png", 9, 9), text_file("long.txt", "w " * 9000)]
    )
    await expect(chat.page.get_by_text("The message is too long")).to_be_visible()
    await assert_no_violations(chat.page)
    await chat.button("Remove long.txt").click()
    await chat.message.press("Enter")
    await expect(chat.answers).to_contain_text("A quotation")
    await chat.page.locator(".question .file").get_by_role("button").first.click()
    await expect(chat.page.get_by_role("dialog")).to_be_visible()


async def _dragged_files(chat: ChatPage) -> None:
    await chat.page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["a"], "a.csv"));
          dispatchEvent(new DragEvent("dragenter", { dataTransfer }));
        }"""
    )
    await expect(chat.page.get_by_text("Drop files to attach them")).to_be_visible()


async def _prompts(chat: ChatPage) -> None:
    await _from_menu(chat, "Prompts")
    await chat.button("New prompt").click()
    await chat.button("Save prompt").click()
    await expect(chat.page.get_by_text("Enter a title.")).to_be_visible()
    await assert_no_violations(chat.page)
    await chat.page.get_by_label("Title", exact=True).fill("Translate")
    await chat.page.get_by_label("Text", exact=True).fill("Into {{language}}: {{text}}")
    await chat.button("Save prompt").click()
    await expect(chat.button("Delete Translate")).to_be_visible()
    await assert_no_violations(chat.page)
    await chat.page.keyboard.press("Escape")
    await chat.message.press_sequentially("/")
    await expect(chat.page.get_by_role("option")).to_have_count(2)
    await assert_no_violations(chat.page)
    await chat.page.keyboard.press("Enter")
    await expect(chat.dialog("Translate")).to_be_visible()


async def _all_chats(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.button("More about this answer").click()
    await chat.page.get_by_role("menuitem", name="Edit answer").click()
    await assert_no_violations(chat.page)
    await _from_menu(chat, "Manage chats")
    await chat.button("Delete all chats").click()


async def _imports(chat: ChatPage) -> None:
    await import_conversations(chat, conversation("one", "One", ("Hi", "Hello")))
    await import_file(chat, "{")
    await expect(chat.notice).to_contain_text("isn't a chat export")


async def _from_menu(chat: ChatPage, item: str) -> None:
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name=item).click()


async def _conversation(chat: ChatPage) -> None:
    await chat.ask("Show me everything")
    await expect(chat.answers.first).to_contain_text("A quotation")
    await expect(chat.page.locator(".katex").first).to_be_visible()
    await expect(chat.page.locator(".hljs-keyword").first).to_be_visible()
    await expect(chat.button("Send")).to_be_visible()
    await chat.page.locator("summary").first.click()


async def _several_questions(chat: ChatPage) -> None:
    exchanges = [(f"Question {number}", "Short. " * 400) for number in range(3)]
    exchanges.append(("Draw", "```mermaid\nflowchart LR\n  A --> B\n```\n\nDone."))
    await import_conversations(chat, conversation("long", "A long one", *exchanges))
    await chat.listed("A long one").click()
    await expect(chat.page.get_by_role("img", name="Diagram of the type")).to_be_visible()
    await assert_no_violations(chat.page)
    await chat.button("Show code").click()


async def _comparison(chat: ChatPage) -> None:
    await chat.open("?models=alpha,beta")
    await _conversation(chat)
    await assert_no_violations(chat.page)
    await _from_menu(chat, "Your votes")


async def _blind_comparison(chat: ChatPage) -> None:
    await chat.compare_blindly("alpha", "beta")
    await _conversation(chat)
    await assert_no_violations(chat.page)
    await chat.button("Model A").click()
    await expect(chat.page.get_by_text("You preferred")).to_be_visible()


async def _editing(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.button("Edit message").click()


async def _models(chat: ChatPage) -> None:
    await chat.open("?models=alpha,beta")
    await chat.picker.click()
    await expect(chat.page.get_by_text("Down", exact=True)).to_be_visible()
    await expect(chat.page.get_by_text("Demo model", exact=True)).to_be_visible()


async def _search(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.page.keyboard.press("Control+k")
    await chat.page.keyboard.type("everything")
    await expect(chat.page.get_by_role("option")).to_have_count(1)
    await assert_no_violations(chat.page)
    await chat.page.keyboard.type(" else")
    await expect(chat.page.get_by_text("No matches")).to_be_visible()


async def _shortcuts(chat: ChatPage) -> None:
    await chat.picker.focus()
    await chat.page.keyboard.press("?")


async def _menu_and_notice(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.button("Actions for Show me everything").click()
    await assert_no_violations(chat.page)
    await chat.page.get_by_role("menuitem", name="Delete").click()
    await expect(chat.notice).to_be_visible()


async def _renaming(chat: ChatPage) -> None:
    await import_conversations(chat, conversation("one", "One", ("Hi", "Hello"), pinned=True))
    await chat.listed("One").dblclick()
    await expect(chat.page.get_by_role("textbox", name="Title")).to_be_visible()


async def _failure(chat: ChatPage) -> None:
    await chat.open("?models=gone")
    await chat.ask("Hello?")
    await expect(chat.page.get_by_role("alert")).to_be_visible()


async def _signed_out(chat: ChatPage) -> None:
    async def to_sign_in(route: Route) -> None:
        await route.fulfill(status=302, headers={"Location": "https://team.example.org/login"})

    await chat.page.route("**/status", to_sign_in)
    await expect(chat.button("Sign in again")).to_be_visible()


async def _unreachable(chat: ChatPage) -> None:
    await chat.page.route("**/status", lambda route: route.abort())
    await expect(chat.page.get_by_text("Can't connect").first).to_be_visible()
    await assert_no_violations(chat.page)
    await chat.picker.click()


async def _missing_chat(chat: ChatPage) -> None:
    await chat.page.goto(f"{chat.url}/#/c/unknown")
    await expect(chat.notice).to_contain_text("This chat isn't here.")


async def _blocked_storage(chat: ChatPage) -> None:
    await chat.page.add_init_script(BLOCK_STORAGE)
    await chat.open()
    await expect(chat.notice).to_contain_text("Your browser blocks storage.")


async def _phone_with_its_drawer(chat: ChatPage) -> None:
    await chat.page.set_viewport_size({"width": 390, "height": 844})
    await _conversation(chat)
    await assert_no_violations(chat.page)
    await chat.button("Show chats").click()
    await expect(chat.listed("Show me everything")).to_be_in_viewport()


VIEWS: list[View] = [
    _empty, _settings, _files, _dragged_files, _prompts, _all_chats, _imports, _conversation,
    _several_questions, _comparison, _blind_comparison, _editing, _models, _search, _shortcuts,
    _menu_and_notice, _renaming, _failure, _signed_out, _unreachable, _missing_chat,
    _blocked_storage, _phone_with_its_drawer,
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__.strip("_"))
async def test_axe_finds_no_violation(
    page: Page,
    gateway_with: GatewayFactory,
    alpha: ScriptedModel,
    beta: ScriptedModel,
    view: View,
) -> None:
    alpha.always_say(RICH_ANSWER)
    beta.always_say(RICH_ANSWER)
    models: list[dict[str, Any]] = [
        served(alpha, description="Small", context=4096),
        served(beta, placeholder={"model": "tiny", "reason": "no hub could be reached"}),
        {"id": "gone", "replicas": ["http://127.0.0.1:9"]},
    ]
    async with gateway_with(*models) as url:
        chat = ChatPage(page, url)
        await page.emulate_media(reduced_motion="reduce")
        await chat.open()
        await view(chat)
        await assert_no_violations(page)


async def test_axe_finds_no_violation_while_an_answer_streams(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Tell me")
    answer = await alpha.next_answer()
    await assert_no_violations(chat.page)
    await answer.say("<think>Hm.", "</think>", "A beginning")
    await expect(chat.answers).to_contain_text("A beginning")
    await assert_no_violations(chat.page)
    await answer.cut()
    await expect(chat.answers.get_by_role("alert")).to_be_visible()
    await assert_no_violations(chat.page)


async def test_axe_finds_no_violation_in_a_full_context(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.always_say("They counted.")
    words = "Some words that fill the context of the model. " * 6
    async with gateway_with(served(alpha, context=512)) as url:
        chat = ChatPage(page, url)
        await chat.open()
        exchanges = [(f"Question {number}", words) for number in range(8)]
        await import_conversations(chat, conversation("long", "A long one", *exchanges))
        await chat.listed("A long one").click()
        await expect(chat.button("Summarize them")).to_be_visible()
        await page.locator(".omitted").scroll_into_view_if_needed()
        await expect(chat.button("Summarize them")).to_be_in_viewport()
        await assert_no_violations(page)
        await chat.button("Summarize them").click()
        await expect(chat.button("Edit summary")).to_be_visible()
        await assert_no_violations(page)
        await chat.button("Edit summary").click()
        await assert_no_violations(page)


async def test_axe_finds_no_violation_where_a_key_is_required(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    secrets = Secrets(
        api_keys=KeyFile.model_validate({"keys": [{"name": "a", "sha256": "0" * 64}]})
    )
    async with gateway_with(served(alpha), secrets=secrets) as url:
        chat = ChatPage(page, url)
        await page.goto(url)
        dialog = chat.dialog("API key")
        await expect(dialog).to_be_visible()
        await assert_no_violations(page)
        await dialog.get_by_label("Key", exact=True).fill("sk-wrong")
        await chat.button("Save key").click()
        await expect(dialog).to_contain_text("That key isn't valid.")
        await assert_no_violations(page)
        await page.keyboard.press("Escape")
        await expect(page.get_by_text("Enter your API key to continue.")).to_be_visible()
        await assert_no_violations(page)
