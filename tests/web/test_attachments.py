"""Files and images: attach, paste, drop, send; limits; what a reload and an export keep."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import GatewayFactory, served
from tests.web.sample_files import CHINESE, image_bytes, jpeg_size, pdf, png, text_file
from tests.web.stored_chats import import_file

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def sighted(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel, beta: ScriptedModel
) -> AsyncIterator[ChatPage]:
    """The page with two models, of which only beta reads images."""
    alpha.server.props = {"modalities": {"vision": False}}
    beta.server.props = {"modalities": {"vision": True}}
    models = served(alpha, context=4096), served(beta, context=8192)
    async with gateway_with(*models) as url:
        chat = ChatPage(page, url)
        await chat.open("?models=beta")
        yield chat


async def _attach(chat: ChatPage, *files: FilePayload) -> None:
    async with chat.page.expect_file_chooser() as chooser:
        await chat.button("Attach files").click()
    await (await chooser.value).set_files(list(files))
    await expect(chat.page.locator(".file[aria-busy]")).to_have_count(0)


def _draft(chat: ChatPage) -> Locator:
    return chat.page.locator(".composer .file")


def _sent(chat: ChatPage) -> Locator:
    return chat.page.locator(".question .file")


async def _last_message(chat: ChatPage, model: ScriptedModel) -> Any:
    """Answer a question; return what the model received for it."""
    answer = await model.next_answer()
    await answer.finish("Read.")
    await expect(chat.button("Send")).to_be_visible()
    await expect(chat.answers.last).to_contain_text("Read.")
    return answer.body["messages"][-1]["content"]


async def _transfer(chat: ChatPage, kind: str, *files: FilePayload, text: str = "") -> None:
    """Drop or paste files, as the browser reports it."""
    await chat.page.evaluate(
        """([kind, files, text]) => {
            const transfer = new DataTransfer();
            for (const { name, content } of files) {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name));
            }
            if (text) transfer.setData("text/plain", text);
            const options = { bubbles: true, cancelable: true };
            const event = kind === "paste"
                ? new ClipboardEvent(kind, { ...options, clipboardData: transfer })
                : new DragEvent(kind, { ...options, dataTransfer: transfer });
            document.activeElement.dispatchEvent(event);
        }""",
        [
            kind,
            [
                {"name": file["name"], "content": base64.b64encode(file["buffer"]).decode()}
                for file in files
            ],
            text,
        ],
    )


async def test_a_text_file_is_sent_with_its_name(chat: ChatPage, alpha: ScriptedModel) -> None:
    await _attach(chat, text_file("Makefile.weird", "all:\n\techo `date`\n"))
    await expect(_draft(chat)).to_contain_text("Makefile.weird")
    await expect(_draft(chat)).to_contain_text("About 5 tokens")
    await chat.ask("Explain this")
    assert await _last_message(chat, alpha) == (
        "Attached file: Makefile.weird\n```weird\nall:\n\techo `date`\n```\n\nExplain this"
    )
    await expect(_draft(chat)).to_have_count(0)
    await expect(_sent(chat)).to_contain_text("Makefile.weird")
    await _sent(chat).get_by_role("button").click()
    await expect(chat.dialog("Makefile.weird")).to_contain_text("echo `date`")


async def test_the_draft_keeps_its_files_over_a_reload(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await _attach(chat, text_file("one.csv", "a,b\n1,2"), text_file("two.csv", "c,d"))
    await expect(_draft(chat)).to_have_count(2)
    await chat.page.reload()
    await expect(_draft(chat)).to_have_count(2)
    await chat.button("Remove one.csv").click()
    await expect(_draft(chat)).to_have_count(1)
    await expect(chat.message).to_be_focused()
    # A file is a message without words.
    await chat.message.press("Enter")
    assert await _last_message(chat, alpha) == "Attached file: two.csv\n```csv\nc,d\n```"
    await expect(chat.listed("two.csv")).to_be_visible()


async def test_later_messages_edits_and_versions_keep_the_file(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await _attach(chat, text_file("facts.txt", "The sky is green."))
    await chat.ask("Colour?")
    first = await _last_message(chat, alpha)
    await chat.page.reload()
    await chat.button("Regenerate").click()
    assert await _last_message(chat, alpha) == first
    await chat.ask("And now?")
    answer = await alpha.next_answer()
    assert answer.body["messages"][0]["content"] == first
    await answer.finish("Later.")
    await expect(chat.answers.last).to_contain_text("Later.")
    await chat.message.press("ArrowUp")
    await chat.page.keyboard.press("Escape")
    await chat.button("Edit message").first.click()
    await chat.page.get_by_role("textbox", name="Edit your message").fill("Which colour?")
    await chat.page.locator(".question-editor").get_by_role("button", name="Send").click()
    assert await _last_message(chat, alpha) == first.replace("Colour?", "Which colour?")


async def test_files_can_be_dropped_anywhere(chat: ChatPage, alpha: ScriptedModel) -> None:
    note = text_file("dropped.md", "# Dropped")
    await _transfer(chat, "dragenter", note)
    target = chat.page.get_by_text("Drop files to attach them")
    await expect(target).to_be_visible()
    await _transfer(chat, "drop", note)
    await expect(target).to_have_count(0)
    await expect(_draft(chat)).to_contain_text("dropped.md")


async def test_pasted_files_are_attached_and_pasted_text_is_not(chat: ChatPage) -> None:
    await _transfer(chat, "paste", text_file("pasted.md", "# Pasted"))
    await expect(_draft(chat)).to_contain_text("pasted.md")
    # Office programs add a picture of the copied text.
    await _transfer(chat, "paste", png("picture.png", 2, 2), text="copied")
    # Files are read one after the other: this one would be behind the picture.
    await _transfer(chat, "paste", text_file("last.md", "# Last"))
    names = chat.page.locator(".composer .file-name")
    await expect(names).to_have_text(["pasted.md", "last.md"])
    await expect(chat.page.locator(".file[aria-busy]")).to_have_count(0)
    await expect(names).to_have_text(["pasted.md", "last.md"])


async def test_a_long_pasted_text_can_become_a_file(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.message.fill("Shorten this: ")
    long = "A line of a long text.\n" * 300
    await chat.page.evaluate(
        """(text) => {
            const transfer = new DataTransfer();
            transfer.setData("text/plain", text);
            const options = { bubbles: true, cancelable: true, clipboardData: transfer };
            document.activeElement.dispatchEvent(new ClipboardEvent("paste", options));
            document.execCommand("insertText", false, text);
        }""",
        long,
    )
    await chat.button("Attach it as a file").click()
    await expect(_draft(chat)).to_contain_text("Pasted text.txt")
    await expect(chat.message).to_have_value("Shorten this: ")
    await chat.message.press("Enter")
    assert await _last_message(chat, alpha) == (
        f"Attached file: Pasted text.txt\n```txt\n{long.strip()}\n```\n\nShorten this:"
    )


async def test_the_text_of_a_pdf_is_sent(chat: ChatPage, alpha: ScriptedModel) -> None:
    await _attach(
        chat, pdf("report.pdf", "Page one", "Page two"), pdf("zh.pdf", "你好世界", font=CHINESE)
    )
    await expect(_draft(chat).first).to_contain_text("2 pages, about")
    await expect(_draft(chat).last).to_contain_text("1 page, about")
    await chat.ask("Summarise")
    assert await _last_message(chat, alpha) == (
        "Attached file: report.pdf\n```\nPage one\n\nPage two\n```\n\n"
        "Attached file: zh.pdf\n```\n你好世界\n```\n\nSummarise"
    )


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (text_file("a.exe", b"MZ\0\0\x01"), "a.exe is not a text, a PDF or an image."),
        (text_file("empty.txt", b""), "empty.txt is empty."),
        (text_file("old.txt", "é".encode("latin-1")), "old.txt is not a text in UTF-8"),
        (text_file("a.docx", b"PK\x03\x04"), "an archive or an Office document"),
        (text_file("a.heic", b"\0\0\0\x18ftypheic\0\0"), "which this browser cannot open"),
        (text_file("a.png", b"\x89PNG\r\n\x1a\nbroken"), "a.png is damaged"),
        (text_file("a.pdf", b"%PDF-1.4\nbroken"), "a.pdf is damaged, or not a PDF"),
        (pdf("scan.pdf", ""), "contains no text; it may be a scan"),
        (pdf("long.pdf", *["x"] * 501), "has 501 pages; the limit is 500"),
        (text_file("large.log", "x" * 2_100_000), "has 2.1 MB of text; the limit is 2.0 MB"),
        (png("bomb.png", 20_000, 6_000), "has 120 million pixels; the limit is 100 million"),
        (text_file("a\u202etxt.\nexe", b"\0"), "a txt. exe is not a text"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
async def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    chat: ChatPage, file: FilePayload, message: str
) -> None:
    await _attach(chat, file)
    await expect(chat.notice).to_contain_text(message)
    await expect(_draft(chat)).to_have_count(0)


async def test_the_number_of_files_is_limited(chat: ChatPage) -> None:
    await _attach(chat, *[text_file(f"{number}.txt", "x") for number in range(12)])
    await expect(chat.notice).to_contain_text("A message can have 10 files; you chose 12.")
    await expect(_draft(chat)).to_have_count(10)


async def test_a_message_that_does_not_fit_is_reported_before_it_is_sent(
    sighted: ChatPage,
) -> None:
    await sighted.open("?models=alpha")
    await _attach(sighted, text_file("long.txt", "word " * 4000))
    note = sighted.page.locator(".note")
    await expect(note).to_contain_text("about 5,556 tokens, and the model accepts 4,096")
    await note.get_by_role("button", name="Use beta").click()
    await expect(note).to_have_count(0)
    await expect(sighted.picker).to_contain_text("beta")


async def test_an_image_is_sent_scaled_down_without_its_metadata(
    sighted: ChatPage, beta: ScriptedModel
) -> None:
    await _attach(sighted, png("photo.png", 3000, 1000, comment="52.5200 N, 13.4050 E"))
    await expect(_draft(sighted).locator("img")).to_be_visible()
    await sighted.ask("What is it?")
    image, text = await _last_message(sighted, beta)
    assert text == {"type": "text", "text": "What is it?"}
    url = image["image_url"]["url"]
    assert jpeg_size(url) == (1536, 512)
    assert b"13.4050" not in image_bytes(url)
    await sighted.page.reload()
    await expect(_sent(sighted).locator("img")).to_be_visible()
    await _sent(sighted).get_by_role("button").click()
    shown = sighted.dialog("photo.png").get_by_role("img", name="photo.png")
    await expect(shown).to_have_js_property("naturalWidth", 1536)


async def test_a_model_without_vision_is_named_and_another_offered(
    sighted: ChatPage, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    await sighted.open("?models=alpha,beta")
    await _attach(sighted, png("photo.png", 20, 20))
    note = sighted.page.locator(".note")
    await expect(note).to_contain_text("alpha can't read images.")
    await sighted.message.fill("What is it?")
    await expect(sighted.button("Send")).to_be_disabled()
    await note.get_by_role("button", name="Use beta").click()
    await expect(note).to_have_count(0)
    await sighted.message.press("Enter")
    await _last_message(sighted, beta)
    # A model without vision that continues the chat receives the image's name.
    await sighted.picker.click()
    await sighted.dialog("Models").get_by_role("button", name="alpha", exact=False).first.click()
    await sighted.ask("And you?")
    answer = await alpha.next_answer()
    assert answer.body["messages"][0]["content"] == "[Image: photo.png]\n\nWhat is it?"
    await answer.finish("I can't see it.")


async def test_an_export_contains_the_files(
    sighted: ChatPage, beta: ScriptedModel, tmp_path: Path
) -> None:
    await _attach(sighted, png("photo.png", 20, 20), text_file("notes.txt", "Some notes"))
    await sighted.ask("Look")
    await _last_message(sighted, beta)
    await expect(sighted.answers).to_contain_text("Read.")
    async with sighted.page.expect_download() as download:
        await sighted.button("More").click()
        await sighted.page.get_by_role("menuitem", name="Export all chats").click()
    exported = tmp_path / "chats.json"
    await (await download.value).save_as(exported)
    content = exported.read_text()
    assert "Some notes" in json.loads(content)["files"].values()
    other = await sighted.page.context.browser.new_context()  # type: ignore[union-attr]
    try:
        chat = ChatPage(await other.new_page(), sighted.url)
        await chat.open()
        await import_file(chat, content)
        await chat.listed("Look").click()
        await expect(_sent(chat).locator("img")).to_be_visible()
        await chat.button("Regenerate").click()
        parts = await _last_message(chat, beta)
        assert [part["type"] for part in parts] == ["image_url", "text"]
        assert "Some notes" in parts[1]["text"]
    finally:
        await other.close()
