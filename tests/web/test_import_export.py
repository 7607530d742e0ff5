"""Chats of other programs, exports for reading, and chats of another browser."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.axe import violations
from tests.web.chat_page import ChatPage
from tests.web.foreign_exports import chatgpt_chat, chatgpt_zip, open_webui
from tests.web.stored_chats import conversation, export_file, import_conversations

pytestmark = pytest.mark.asyncio(loop_scope="session")

_TRIP = chatgpt_chat(
    "11-aa",
    "Trip",
    ("q1", None, "user", "Where to?"),
    ("a1", "q1", "assistant", "To Rome."),
    ("q2", "a1", "user", "By train?"),
    ("a2", "q2", "assistant", "Yes, by train."),
    ("a3", "q1", "assistant", "To Oslo."),
    ("q3", "a3", "user", "Is it cold?"),
    ("a4", "q3", "assistant", "Yes, cold."),
)


async def _manage(chat: ChatPage) -> None:
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name="Manage chats").click()


async def _import(chat: ChatPage, name: str, content: bytes | str) -> None:
    await _manage(chat)
    async with chat.page.expect_file_chooser() as chooser:
        await chat.button("Choose a file").click()
    content = content.encode() if isinstance(content, str) else content
    await (await chooser.value).set_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


async def _saved(control: Locator) -> tuple[str, Path]:
    """The name and the place of the file that a control saves."""
    async with control.page.expect_download() as download:
        await control.click()
    saved = await download.value
    return saved.suggested_filename, await saved.path()


async def test_the_zip_of_chatgpt_is_imported_with_its_branches(chat: ChatPage) -> None:
    await _import(chat, "export.zip", chatgpt_zip(_TRIP, chatgpt_chat("22-bb", "Nothing")))
    await expect(chat.notice).to_contain_text("Imported 1 chat with 8 messages from ChatGPT.")
    await expect(chat.notice).to_contain_text("Skipped: 1 chat empty.")
    await chat.listed("Trip").click()
    await expect(chat.answers).to_have_count(2)
    await expect(chat.answers.first).to_contain_text("To Oslo.")
    await expect(chat.answers.first).to_contain_text("gpt-4o")
    await chat.button("Earlier version").first.click()
    await expect(chat.answers.first).to_contain_text("To Rome.")
    await expect(chat.answers.last).to_contain_text("Yes, by train.")
    await chat.button("Dismiss").click()
    await _import(chat, "conversations.json", chatgpt_zip(_TRIP))
    await expect(chat.notice).to_contain_text("Nothing new from ChatGPT.")
    await expect(chat.notice).to_contain_text("Skipped: 1 chat already here.")


async def test_an_imported_chat_goes_on_with_a_model_of_this_server(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Down to the sea.")
    await _import(chat, "webui.json", open_webui("Rivers", "Where do rivers go?", "To lakes."))
    await expect(chat.notice).to_contain_text("with 2 messages from Open WebUI.")
    await chat.listed("Rivers").click()
    await expect(chat.answers).to_contain_text("To lakes.")
    await chat.button("Regenerate").click()
    await expect(chat.answer_of("alpha")).to_contain_text("Down to the sea.")
    await chat.ask("And then?")
    await expect(chat.answers).to_have_count(2)
    await expect(chat.answers.last).to_contain_text("Down to the sea.")
    assert [message["content"] for message in alpha.requests[-1]["messages"]] == [
        "Where do rivers go?",
        "Down to the sea.",
        "And then?",
    ]


async def test_an_import_adds_messages_and_replaces_nothing(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Newer words.")
    first = conversation("one", "Old title", ("Hi", "Hello"))
    await import_conversations(chat, {**first, "title": "My title"})
    await chat.listed("My title").click()
    await expect(chat.answers).to_contain_text("Hello")
    await chat.ask("More")
    await expect(chat.answers.last).to_contain_text("Newer words.")
    longer = conversation("one", "Old title", ("Hi", "Changed"), ("Another way", "Old words"))
    await _import(chat, "chats.json", export_file(longer))
    await expect(chat.notice).to_contain_text("Added messages to 1 chat.")
    await expect(chat.listed("My title")).to_be_visible()
    await expect(chat.answers.first).to_contain_text("Hello")
    await expect(chat.answers.last).to_contain_text("Newer words.")
    await chat.button("Later version").click()
    await expect(chat.answers.last).to_contain_text("Old words")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.json", b"[]", "This file isn't a chat export."),
        ("photo.json", b"\x89PNG", "This file isn't a chat export: it is not a JSON file."),
        ("empty.zip", chatgpt_zip(name="other.json"), "This zip file has no chats"),
        ("cut.zip", chatgpt_zip(_TRIP)[:300], "This zip file"),
    ],
)
async def test_other_files_are_refused_with_a_reason(
    chat: ChatPage, name: str, content: bytes, message: str
) -> None:
    await _import(chat, name, content)
    await expect(chat.notice).to_contain_text(message)


async def test_one_chat_and_all_chats_are_exported_as_markdown(chat: ChatPage) -> None:
    await import_conversations(
        chat,
        conversation("one", "Ünder #1", ("Hi *you*", "Hello\n\n- a\n- b")),
        conversation("two", "under 1", ("Second", "Other")),
        conversation("three", "Ünder -1", ("Third", "Third answer"), system="Be brief."),
    )
    await chat.button("Actions for Ünder #1").click()
    name, path = await _saved(chat.page.get_by_role("menuitem", name="Export as Markdown"))
    assert name == "Ünder-1.md"
    text = path.read_text()
    assert text.startswith("# Ünder \\#1\n\n")
    assert text.endswith("## You\n\nHi *you*\n\n## alpha\n\nHello\n\n- a\n- b\n")
    await _manage(chat)
    _, path = await _saved(chat.button("All chats as Markdown"))
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["under-1.md", "ünder-1-2.md", "ünder-1.md"]
        whole = "".join(archive.read(name).decode() for name in archive.namelist())
    assert "Be brief." in whole
    assert "Third answer" in whole


async def test_a_link_to_a_chat_of_another_browser_explains_where_chats_are(
    chat: ChatPage,
) -> None:
    await chat.page.goto(f"{chat.url}/#/c/unknown")
    await expect(chat.notice).to_contain_text("saved only in the browser")
    await chat.button("How to move chats").click()
    await expect(chat.dialog("Manage chats")).to_contain_text("export them as JSON")
    assert await violations(chat.page) == []
