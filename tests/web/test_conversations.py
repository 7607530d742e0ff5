"""Stored conversations: reload, search, rename, delete, export, import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.stored_chats import until_stored

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_reload_keeps_the_conversation(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("**Blue**, mostly.")
    await chat.ask("Why is the sky blue?")
    await expect(chat.answer_of("alpha")).to_contain_text("Blue, mostly.")
    await chat.page.reload()
    await expect(chat.answer_of("alpha")).to_contain_text("Blue, mostly.")
    await expect(chat.listed("Why is the sky blue?")).to_have_attribute("aria-current", "page")
    await chat.ask("And at dusk?")
    await expect(chat.answers).to_have_count(2)
    await expect(chat.button("Send")).to_be_visible()
    assert [message["content"] for message in alpha.requests[1]["messages"]] == [
        "Why is the sky blue?",
        "**Blue**, mostly.",
        "And at dusk?",
    ]


async def test_a_reload_during_an_answer_keeps_the_text_received_so_far(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("A slow story")
    answer = await alpha.next_answer()
    await answer.say("Once upon")
    await expect(chat.answer_of("alpha")).to_contain_text("Once upon")
    await until_stored(chat.page, "Once upon")
    await chat.page.reload()
    await expect(chat.answer_of("alpha")).to_contain_text("Once upon")
    await expect(chat.answer_of("alpha")).to_contain_text("The page was closed before")
    await expect(chat.button("Continue")).to_be_visible()


async def test_search_finds_words_of_questions_and_answers(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Penguins live in the south.")
    await _talk(chat, "Where do penguins live?")
    alpha.always_say("Bears live in the north.")
    await _talk(chat, "Where do bears live?")
    await chat.page.keyboard.press("Control+k")
    field = chat.page.get_by_role("combobox", name="Search chats")
    await expect(field).to_be_focused()
    await field.fill("SOUTH penguins")
    hits = chat.page.get_by_role("option")
    await expect(hits).to_have_count(1)
    await expect(hits).to_contain_text("Where do penguins live?")
    await field.fill("unicorn")
    await expect(chat.page.get_by_text("No matches")).to_be_visible()
    await field.fill("south")
    await expect(hits).to_have_count(1)
    await chat.page.keyboard.press("Enter")
    await expect(chat.answer_of("alpha")).to_contain_text("Penguins live in the south.")


async def _talk(chat: ChatPage, question: str) -> None:
    """Start a conversation with one answered question."""
    await chat.page.keyboard.press("Control+Shift+O")
    await chat.ask(question)
    await expect(chat.answers).to_have_count(1)
    await expect(chat.button("Send")).to_be_visible()


async def test_renaming(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Hi.")
    await _talk(chat, "Hello there")
    await _act(chat, "Hello there", "Rename")
    await chat.page.get_by_role("textbox", name="Title").fill("Greetings")
    await chat.page.keyboard.press("Enter")
    await expect(chat.listed("Greetings")).to_be_visible()
    await chat.page.reload()
    await expect(chat.listed("Greetings")).to_be_visible()


async def test_a_change_in_the_list_survives_an_immediate_reload(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Hi.")
    await _talk(chat, "Title 0")
    # A write that starts too late is lost in about one of three attempts.
    for number in range(10):
        await _act(chat, f"Title {number}", "Rename")
        await chat.page.get_by_role("textbox", name="Title").fill(f"Title {number + 1}")
        await _reload_once_listed(chat.page, f"Title {number + 1}")
        async with chat.page.expect_navigation():
            await chat.page.keyboard.press("Enter")
        await expect(chat.listed(f"Title {number + 1}")).to_be_visible()


async def _reload_once_listed(page: Page, title: str) -> None:
    """Let the page reload itself, sooner than a call from the test could."""
    await page.evaluate(
        """(title) => {
          const list = document.querySelector("nav");
          new MutationObserver((_, observer) => {
            if (!list.textContent.includes(title)) return;
            observer.disconnect();
            location.reload();
          }).observe(list, { subtree: true, childList: true, characterData: true });
        }""",
        title,
    )


async def _act(chat: ChatPage, title: str, action: str) -> None:
    await chat.listed(title).hover()
    await chat.button(f"Actions for {title}").click()
    await chat.page.get_by_role("menuitem", name=action).click()


async def test_deleting_a_conversation_can_be_undone(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Precious words.")
    await _talk(chat, "Keep this")
    await _act(chat, "Keep this", "Delete")
    await expect(chat.listed("Keep this")).to_have_count(0)
    await expect(chat.answers).to_have_count(0)
    await chat.notice.get_by_role("button", name="Undo").click()
    await chat.listed("Keep this").click()
    await expect(chat.answers).to_contain_text("Precious words.")
    await _act(chat, "Keep this", "Delete")
    await expect(chat.listed("Keep this")).to_have_count(0)
    await chat.page.reload()
    await expect(chat.message).to_be_visible()
    await expect(chat.listed("Keep this")).to_have_count(0)


async def _export_all(chat: ChatPage) -> Path:
    async with chat.page.expect_download() as download:
        await chat.button("More").click()
        await chat.page.get_by_role("menuitem", name="Export all").click()
    return Path(await (await download.value).path())


async def _import(chat: ChatPage, content: str) -> None:
    async with chat.page.expect_file_chooser() as chooser:
        await chat.button("More").click()
        await chat.page.get_by_role("menuitem", name="Import").click()
    await (await chooser.value).set_files(
        {"name": "import.json", "mimeType": "application/json", "buffer": content.encode()}
    )


async def test_an_export_restores_conversations_and_contains_no_api_key(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("An answer to keep.")
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name="API key").click()
    await chat.page.get_by_label("Key", exact=True).fill("sk-secret-of-mine")
    await chat.page.get_by_role("switch", name="Remember on this device").check()
    await chat.button("Save key").click()
    await _talk(chat, "Export me")
    content = (await _export_all(chat)).read_text()
    assert "sk-secret-of-mine" not in content
    await _act(chat, "Export me", "Delete")
    await chat.button("Dismiss").click()
    await _import(chat, content)
    await expect(chat.notice).to_contain_text("Imported 1 chat with 2 messages.")
    await chat.button("Dismiss").click()
    await chat.listed("Export me").click()
    await expect(chat.answers).to_contain_text("An answer to keep.")
    await _import(chat, content)
    await expect(chat.notice).to_contain_text("Nothing new. Skipped: 1 chat already here.")


def _invalid_files(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Invalid files, each with a part of the message that the page must show."""
    wrong_type = json.loads(json.dumps(content))
    wrong_type["conversations"][0]["turns"][0]["text"] = 7
    orphan = json.loads(json.dumps(content))
    orphan["conversations"][0]["turns"][0]["parent"] = "unknown"
    return [
        ("{", "not a JSON file"),
        ("[]", "isn't a chat export"),
        (json.dumps({**content, "version": 99}), "newer version (99)"),
        (json.dumps(wrong_type), "conversations.0.turns.0.text"),
        (json.dumps(orphan), 'no earlier turn has the id "unknown"'),
    ]


async def test_an_invalid_import_is_rejected_with_its_reason(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Hi.")
    await _talk(chat, "Something")
    for content, reason in _invalid_files(json.loads((await _export_all(chat)).read_text())):
        await _import(chat, content)
        await expect(chat.notice).to_contain_text(reason)
        await chat.button("Dismiss").click()
    await expect(chat.listed("Something")).to_have_count(1)


async def test_changes_are_shown_in_another_tab(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say("Hello from afar.")
    other = ChatPage(await chat.page.context.new_page(), chat.url)
    await other.open()
    await _talk(chat, "Anyone there?")
    await expect(other.listed("Anyone there?")).to_be_visible()
    await other.listed("Anyone there?").click()
    await expect(other.answers).to_contain_text("Hello from afar.")
    await chat.ask("A second question")
    await expect(other.answers).to_have_count(2)


async def test_settings_are_sent_to_the_model_and_stored_with_the_conversation(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Aye.")
    await chat.button("Chat settings").click()
    await chat.page.get_by_label("System prompt").fill("Answer like a sailor.")
    await chat.page.get_by_role("spinbutton", name="Temperature").fill("0.2")
    await chat.page.get_by_text("More settings").click()
    await chat.page.get_by_role("slider", name="Top P").fill("0.5")
    await chat.page.get_by_label("Max length (tokens)").fill("64")
    await chat.page.get_by_label("Seed").fill("7")
    await chat.page.keyboard.press("Escape")
    await _talk_here(chat, "Ready?")
    asked = alpha.requests[0]
    assert asked["messages"][0] == {"role": "system", "content": "Answer like a sailor."}
    sampling = {name: asked[name] for name in ("temperature", "top_p", "max_tokens", "seed")}
    assert sampling == {"temperature": 0.2, "top_p": 0.5, "max_tokens": 64, "seed": 7}
    await _talk(chat, "A new chat has settings of its own")
    assert alpha.requests[1]["messages"][0]["role"] == "user"
    assert "seed" not in alpha.requests[1]


async def test_a_number_out_of_range_is_reported_while_it_is_typed(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Aye.")
    await chat.button("Chat settings").click()
    length = chat.page.get_by_label("Max length (tokens)")
    await length.press_sequentially("-5")
    await length.fill("-5")
    problem = chat.page.get_by_text("Enter a whole number of at least 1.")
    await expect(problem).to_contain_text("Until then, 1,024 is used.")
    await expect(length).to_have_attribute("aria-invalid", "true")
    await expect(length).to_have_value("-5")
    await length.fill("5")
    await expect(problem).to_have_count(0)
    await chat.page.keyboard.press("Escape")
    await _talk_here(chat, "Ready?")
    assert alpha.requests[0]["max_tokens"] == 5


async def test_the_header_shows_that_a_system_prompt_is_in_force(chat: ChatPage) -> None:
    sign = chat.button("System prompt")
    await expect(sign).to_have_count(0)
    await chat.button("Chat settings").click()
    await chat.page.get_by_label("System prompt").fill("Answer like a sailor.")
    await chat.page.keyboard.press("Escape")
    await sign.click()
    await expect(chat.page.get_by_label("System prompt")).to_have_value("Answer like a sailor.")


async def _talk_here(chat: ChatPage, question: str) -> None:
    await chat.ask(question)
    await expect(chat.answers).to_have_count(1)
    await expect(chat.button("Send")).to_be_visible()
