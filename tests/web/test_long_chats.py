"""Conversations that do not fit on the screen: where they open, and how much of them is in the document."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.web.chat_page import ChatPage
from tests.web.stored_chats import conversation, import_conversations

pytestmark = pytest.mark.asyncio(loop_scope="session")

RICH = (
    "A formula $x^2$ and\n\n\\[ \\int_0^1 x\\,dx \\]\n\n```python\ndef f():\n    return 1\n```\n\n"
    + "Words that fill several lines of this answer. " * 40
)
# What the page has when its frame appears.
_FIRST_FRAME = """
new MutationObserver((_, observer) => {
  const main = document.querySelector("main");
  if (!main) return;
  observer.disconnect();
  window.first = {
    inert: main.inert,
    composer: main.querySelector("textarea") !== null,
    greeting: main.textContent.includes("What can I help with?"),
  };
}).observe(document, { childList: true, subtree: true });
"""
GAP = "view => view.scrollHeight - view.clientHeight - view.scrollTop"


async def test_a_stored_conversation_opens_at_its_end(chat: ChatPage) -> None:
    exchanges = [(f"Question {number}", f"{RICH} End {number}.") for number in range(12)]
    await import_conversations(
        chat,
        conversation("long", "A long one", *exchanges),
        conversation("short", "A short one", ("Hi", "Hello")),
    )
    thread = chat.page.locator(".thread")
    # The browser moves the view by itself when the content of the other conversation is replaced.
    for _ in range(3):
        await chat.listed("A long one").click()
        await expect(chat.page.get_by_text("End 11.")).to_be_in_viewport()
        await expect(chat.page.locator(".katex").last).to_be_attached()
        await expect(chat.page.locator(".hljs-keyword").last).to_be_attached()
        await _settled(chat.page)
        assert await thread.evaluate(GAP) < 2
        await chat.listed("A short one").click()
        await expect(chat.page.get_by_text("Hello")).to_be_in_viewport()


async def test_the_frame_of_the_page_comes_before_the_chat_of_the_url(chat: ChatPage) -> None:
    await import_conversations(chat, conversation("one", "One", ("Hi", "A *formula*: $x^2$")))
    page, loaded = chat.page, asyncio.Event()

    async def delay(route: Route) -> None:
        await loaded.wait()
        await route.continue_()

    await page.route("**/assets/renderer-*.js", delay)
    await page.add_init_script(_FIRST_FRAME)
    await page.goto("about:blank")
    await page.goto(f"{chat.url}/#/c/one")
    await expect(chat.listed("One")).to_be_visible()
    first = await page.evaluate("window.first")
    # Nobody can write into a chat that is not there yet.
    assert first == {"inert": True, "composer": True, "greeting": False}
    loaded.set()
    await expect(chat.answers.locator("em")).to_have_text("formula")
    await expect(chat.answers.locator(".katex")).to_be_visible()
    await chat.ask("And now?")


async def _settled(page: Page) -> None:
    """Wait until the height of the conversation has not changed for ten frames."""
    await page.evaluate(
        """async () => {
          const view = document.querySelector(".thread");
          for (let same = 0, before = -1; same < 10; ) {
            await new Promise(requestAnimationFrame);
            same = view.scrollHeight === before ? same + 1 : 0;
            before = view.scrollHeight;
          }
        }"""
    )


async def test_a_very_long_conversation_has_its_last_turns_in_the_document(chat: ChatPage) -> None:
    exchanges = [(f"Question number {number}", f"Answer {number}. " * 9) for number in range(500)]
    await import_conversations(chat, conversation("huge", "A huge one", *exchanges))
    await chat.listed("A huge one").click()
    await expect(chat.page.get_by_text("Question number 499")).to_be_in_viewport()
    # Not all at once: the last ones are painted first.
    await expect(chat.answers).to_have_count(30)
    thread = chat.page.locator(".thread")
    await thread.hover()
    before = await chat.answers.count()
    await chat.page.mouse.wheel(0, -100_000)
    await expect(chat.answers.nth(before)).to_be_attached()
    # Added turns do not move the ones on screen: the first one that was there is still near the top.
    await expect(chat.page.get_by_text("Question number 470", exact=True)).to_be_in_viewport()
