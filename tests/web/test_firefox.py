"""The pages in Firefox, where browsers differ: storage, files, input methods, scrolling, paper, offline."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.doubles.status_site import StatusSite
from tests.web.axe import violations
from tests.web.chat_page import ChatPage
from tests.web.conftest import GatewayFactory, profile, served
from tests.web.firefox import DOWNLOADS, Preferences, firefox
from tests.web.sample_files import jpeg_size, png, text_file
from tests.web.stored_chats import conversation, import_conversations, until_stored

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Cookies and other storage are blocked; what is drawn on a canvas cannot be read.
PRIVATE: Preferences = {"network.cookie.cookieBehavior": 2, "privacy.resistFingerprinting": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("firefox")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(folder: Path) -> AsyncIterator[Browser]:
    async with firefox(folder) as opened:
        yield opened


async def test_an_answer_streams_and_a_draft_survives_a_reload(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await expect(chat.message).to_be_focused()
    await chat.ask("Count")
    answer = await alpha.next_answer()
    await answer.say("One, ")
    await expect(chat.answers).to_contain_text("One,")
    await chat.message.fill("Half a thought")
    await answer.finish("two.")
    await expect(chat.answers).to_contain_text("One, two.")
    await expect(chat.button("Send")).to_be_visible()
    await until_stored(chat.page, "One, two.")
    await chat.page.reload()
    await expect(chat.message).to_have_value("Half a thought")
    await expect(chat.answers).to_contain_text("One, two.")


async def test_a_reload_during_an_answer_keeps_its_text(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("A slow story")
    await (await alpha.next_answer()).say("Once upon")
    await until_stored(chat.page, "Once upon")
    await chat.page.reload()
    await expect(chat.answers).to_contain_text("Once upon")
    await expect(chat.answers).to_contain_text("The page was closed before")
    await chat.button("Continue").click()
    await (await alpha.next_answer()).finish(" a time.")
    await expect(chat.answers).to_contain_text("Once upon a time.")


async def test_blocked_cookies_leave_the_chats_in_memory(
    gateway: str, alpha: ScriptedModel, tmp_path: Path
) -> None:
    alpha.always_say("Only for now.")
    async with firefox(tmp_path, PRIVATE) as private, profile(private, "block") as context:
        page = await context.new_page()
        chat = ChatPage(page, gateway)
        await chat.open()
        await expect(chat.notice).to_contain_text("Your browser blocks storage.")
        await chat.ask("First")
        await expect(chat.answers).to_contain_text("Only for now.")
        async with page.expect_file_chooser() as chooser:
            await chat.button("Attach files").click()
        files = [text_file("kept.txt", "In memory."), png("noise.png", 9, 9)]
        await (await chooser.value).set_files(files)
        await expect(chat.notice).to_contain_text("noise.png cannot be read")
        await expect(page.locator(".composer .file")).to_contain_text("kept.txt")
        await chat.message.press("Enter")
        await expect(chat.answers).to_have_count(2)
        await page.keyboard.press("Control+Shift+O")
        await expect(chat.answers).to_have_count(0)
        await chat.listed("First").click()
        await expect(chat.answers.first).to_contain_text("Only for now.")
        await page.locator(".question .file").get_by_role("button").click()
        await expect(chat.dialog("kept.txt")).to_contain_text("In memory.")
        await chat.dialog("kept.txt").get_by_role("button", name="Close").click()
        await chat.button("Dark theme").click()
        await expect(page.locator("html")).to_have_css("background-color", "rgb(23, 22, 20)")
        bars = "rgb(125, 118, 107) rgba(0, 0, 0, 0)"
        await expect(page.locator(".thread")).to_have_css("scrollbar-color", bars)


async def test_two_tabs_on_one_chat_keep_the_messages_of_both(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Asked first")
    slow = await alpha.next_answer()
    await slow.say("A slow ")
    await expect(chat.answers).to_contain_text("A slow")
    other = ChatPage(await chat.page.context.new_page(), chat.url)
    await other.open()
    await other.listed("Asked first").click()
    await expect(other.answers).to_contain_text("In progress in another tab")
    await other.ask("Asked in the second tab")
    await (await alpha.next_answer()).finish("A quick answer.")
    await slow.finish("answer.")
    for tab in (chat, other):
        await expect(tab.answers).to_have_count(2)
        await expect(tab.answers.first).to_contain_text("A slow answer.")
        await expect(tab.answers.last).to_contain_text("A quick answer.")


# An input method sends these: Firefox during the composition, WebKit after its end.
CONFIRMING: tuple[dict[str, Any], ...] = (
    {"key": "Process", "keyCode": 229, "isComposing": True},
    {"key": "Enter", "keyCode": 13, "isComposing": True},
    {"key": "Enter", "keyCode": 229, "isComposing": False},
)


async def test_enter_of_an_input_method_sends_nothing(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.message.fill("こんにちは")
    for event in CONFIRMING:
        options = {**event, "bubbles": True, "cancelable": True}
        await chat.message.dispatch_event("keydown", options)
    await expect(chat.message).to_have_value("こんにちは")
    alpha.always_say("はい")
    await chat.message.press("Enter")
    await expect(chat.answers).to_contain_text("はい")
    assert len(alpha.requests) == 1


async def test_a_pasted_image_is_scaled_down(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.server.props = {"modalities": {"vision": True}}
    async with gateway_with(served(alpha, context=4096)) as url:
        chat = ChatPage(page, url)
        await chat.open()
        content = base64.b64encode(png("wide.png", 3000, 30)["buffer"]).decode()
        await page.evaluate(
            """(content) => {
              const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
              const clipboardData = new DataTransfer();
              clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
              const event = new ClipboardEvent("paste", { bubbles: true, cancelable: true });
              // Firefox has no option for it.
              Object.defineProperty(event, "clipboardData", { value: clipboardData });
              document.activeElement.dispatchEvent(event);
            }""",
            content,
        )
        await expect(page.locator(".composer .file img")).to_be_visible()
        await chat.ask("What colour?")
        answer = await alpha.next_answer()
        image = answer.body["messages"][0]["content"][0]["image_url"]["url"]
        assert jpeg_size(image) == (1536, 15)
        await answer.finish("Red.")
        await expect(chat.answers).to_contain_text("Red.")


async def test_a_dropped_file_is_attached(chat: ChatPage) -> None:
    await chat.page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["a,b"], "dropped.csv"));
          const options = { bubbles: true, cancelable: true, dataTransfer };
          for (const kind of ["dragenter", "dragover"]) {
            document.body.dispatchEvent(new DragEvent(kind, options));
          }
        }"""
    )
    await expect(chat.page.get_by_text("Drop files to attach them")).to_be_visible()
    # Firefox opens the file in place of the page where the event is not cancelled.
    cancelled = await chat.page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["a,b"], "dropped.csv"));
          const options = { bubbles: true, cancelable: true, dataTransfer };
          return !document.body.dispatchEvent(new DragEvent("drop", options));
        }"""
    )
    assert cancelled
    await expect(chat.page.locator(".composer .file")).to_contain_text("dropped.csv")


RICH = (
    "A formula $x^2$.\n\n\\[ \\int_0^1 x\\,dx \\]\n\n```python\nreturn 1\n```\n\n" + "Words. " * 100
)
GAP = "view => view.scrollHeight - view.clientHeight - view.scrollTop"
SETTLED = """async (view) => {
  for (let same = 0, before = -1; same < 10; ) {
    await new Promise(requestAnimationFrame);
    same = view.scrollHeight === before ? same + 1 : 0;
    before = view.scrollHeight;
  }
}"""


async def test_an_old_chat_opens_at_its_end_and_is_printed_whole(chat: ChatPage) -> None:
    exchanges = [(f"Question {number}", "Words. " * 100) for number in range(32)]
    exchanges += [(f"Question {number}", f"{RICH} End {number}.") for number in range(36, 40)]
    await import_conversations(
        chat,
        conversation("long", "A long one", *exchanges),
        conversation("short", "A short one", ("Hi", "Hello")),
    )
    page, thread = chat.page, chat.page.locator(".thread")
    await chat.listed("A short one").click()
    await expect(page.get_by_text("Hello")).to_be_in_viewport()
    await chat.listed("A long one").click()
    await expect(page.get_by_text("End 39.")).to_be_in_viewport()
    await expect(page.locator(".katex").last).to_be_attached()
    await expect(page.locator(".hljs-keyword").last).to_be_attached()
    await thread.evaluate(SETTLED)
    assert await thread.evaluate(GAP) < 2
    assert _pages(await page.pdf()) > 15


def _pages(pdf: bytes) -> int:
    """The number of pages; their objects are in compressed streams."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    objects = b"".join(map(_inflated, streams))
    return len(re.findall(rb"/Type\s*/Page\b", pdf + objects))


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""


async def test_a_diagram_is_drawn_and_the_chat_is_saved(
    chat: ChatPage, alpha: ScriptedModel, folder: Path
) -> None:
    alpha.always_say("```mermaid\nflowchart LR\n  A[Client] --> B{Server}\n```\n\nDone.")
    await chat.ask("Draw")
    diagram = chat.page.get_by_role("img", name="Diagram of the type flowchart")
    await expect(diagram).to_be_visible()
    assert await diagram.evaluate("(image) => image.naturalWidth") > 100
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name="Export all chats").click()
    saved = await asyncio.wait_for(_first_question(folder / DOWNLOADS / "chats.json"), 15)
    assert saved == "Draw"


async def _first_question(export: Path) -> str:
    """The first question in a file that the browser writes."""
    while True:
        with contextlib.suppress(OSError, ValueError):
            content = await asyncio.to_thread(export.read_text)
            question: str = json.loads(content)["conversations"][0]["turns"][0]["text"]
            return question
        await asyncio.sleep(0.05)


async def test_dialogs_and_menus_keep_the_focus(chat: ChatPage) -> None:
    keyboard = chat.page.keyboard
    await chat.button("Chat settings").focus()
    await keyboard.press("Enter")
    settings = chat.dialog("Chat settings")
    await expect(settings).to_be_visible()
    assert await settings.evaluate("(dialog) => dialog.contains(document.activeElement)")
    await keyboard.press("Escape")
    await expect(settings).to_be_hidden()
    await expect(chat.button("Chat settings")).to_be_focused()
    await chat.button("More").focus()
    await keyboard.press("Enter")
    await expect(chat.page.get_by_role("menuitem", name="Import")).to_be_focused()
    await keyboard.press("ArrowUp")
    await keyboard.press("Enter")
    await expect(chat.dialog("Keyboard shortcuts")).to_be_visible()
    await keyboard.press("Escape")
    await keyboard.press("Control+k")
    await expect(chat.page.get_by_role("combobox", name="Search chats")).to_be_focused()
    await keyboard.press("Escape")
    await keyboard.press("Control+Shift+O")
    await expect(chat.message).to_be_focused()


async def test_the_page_opens_without_a_connection(
    browser: Browser, gateway: str, alpha: ScriptedModel
) -> None:
    alpha.always_say("This one.")
    async with profile(browser, service_workers="allow") as context:
        page = await context.new_page()
        chat = ChatPage(page, gateway)
        await chat.open()
        await chat.ask("Which chat is kept?")
        await expect(chat.answers).to_contain_text("This one.")
        await page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
        await context.set_offline(True)
        await page.reload()
        await expect(page.get_by_text("This one.")).to_be_visible()
        await expect(page.get_by_text("Can't connect").first).to_be_visible()
        await context.set_offline(False)
        await expect(page.get_by_text("Can't connect")).to_have_count(0)


async def test_the_status_page_is_read_by_keyboard(context: BrowserContext, tmp_path: Path) -> None:
    service = {"name": "smol", "kind": "inference", "url": "http://smol:8000"}
    site = StatusSite(tmp_path, [service])
    await site.client.start_server()
    site.fill_history("smol", failed=(5.0,))
    site.all_ok()
    page = await context.new_page()
    await page.goto(site.url)
    chart = page.locator("#smol-day").get_by_role("slider")
    await chart.focus()
    await page.keyboard.press("ArrowLeft")
    readout = page.locator("#smol-day .readout")
    await expect(readout).to_contain_text("uptime (down)")
    await page.keyboard.press("End")
    await expect(readout).to_contain_text("100 % uptime")
    await page.locator("#smol-months-list summary").press("Enter")
    await expect(page.locator("#smol-months-list")).to_have_attribute("open", "")
    assert await violations(page) == []
    await site.close()
