"""Measurements of the chat page in Chromium: streams, long chats, typing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, expect

from benchmarks.page_texts import RICH, pieces
from benchmarks.page_trace import CATEGORIES, MainThread, main_thread
from tests.web.chat_page import ChatPage
from tests.web.stored_chats import conversation, import_conversations

KEYS = "the quick brown fox jumps over the lazy dog "

# Reports every task over 50 ms to `window.tasks`.
_OBSERVE = """() => {
  window.tasks = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.tasks.push(entry.duration);
  }).observe({ type: "longtask" });
}"""

# Waits for the end of the answer. Playwright's own checks would be a tenth of what is measured.
_FINISHED = """async () => {
  const busy = () => document.querySelector('button[aria-label="Stop"]');
  while (busy()) await new Promise((goOn) => setTimeout(goOn, 250));
}"""

# From the click on a chat until its last message is painted at the end of the view.
_OPEN = """async ([title, last]) => {
  const frame = () => new Promise(requestAnimationFrame);
  const links = [...document.querySelectorAll(".conversations a")];
  const link = links.find((one) => one.textContent === title);
  const begun = performance.now();
  link.click();
  const view = document.querySelector(".thread");
  const shown = () => {
    const answer = [...view.querySelectorAll(".answer")].at(-1);
    const gap = view.scrollHeight - view.clientHeight - view.scrollTop;
    return answer?.textContent.includes(last) && gap < 2;
  };
  while (!shown()) await frame();
  // The frame in which the text is there, and the begin of the next one: it was painted.
  await frame();
  return performance.now() - begun;
}"""

# From each key's event until the frame after its effect.
_LISTEN = """() => {
  window.delays = [];
  addEventListener("keydown", (event) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.delays.push(performance.now() - event.timeStamp);
      port2.postMessage(null);
    });
  }, true);
}"""


@dataclass(frozen=True)
class Opened:
    """How a stored chat opened."""

    milliseconds: list[float]
    cpu_ms: list[float]
    """The processor time of the main thread."""
    nodes: int


class MeasuredPage:
    """The page in a new profile, and the processor's speed that it gets."""

    def __init__(self, context: BrowserContext, page: Page, cdp: CDPSession, url: str) -> None:
        self.context = context
        self.page = page
        self.chat = ChatPage(page, url)
        self._cdp = cdp

    @classmethod
    async def open(cls, browser: Browser, url: str) -> MeasuredPage:
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        measured = cls(context, page, await context.new_cdp_session(page), url)
        await measured.chat.open()
        return measured

    async def throttle(self, rate: int) -> None:
        """Slow the processor down as Lighthouse does for a phone (4)."""
        await self._cdp.send("Emulation.setCPUThrottlingRate", {"rate": rate})

    async def store(self, title: str, turns: int, text: str) -> None:
        """Import a chat with this number of questions, each with an answer."""
        exchanges = [
            (f"Question {number}", f"{text} End {number}.") for number in range(1, turns + 1)
        ]
        await import_conversations(self.chat, conversation(title.lower(), title, *exchanges))

    async def stream(self, kind: str, count: int, rate: int) -> tuple[MainThread, list[float]]:
        """The main thread during an answer, and the durations of its long tasks."""
        await self.page.evaluate(_OBSERVE)
        browser = self.context.browser
        assert browser is not None
        await browser.start_tracing(page=self.page, categories=CATEGORIES)
        question = f"stream {kind} {count} {rate}"
        await self.chat.ask(question)
        await expect(self.page.locator(".bubble").last).to_have_text(question)
        await self.page.evaluate(_FINISHED)
        traced = main_thread(await browser.stop_tracing())
        long: list[float] = await self.page.evaluate("window.tasks")
        return traced, long

    async def open_repeatedly(self, title: str, last: str, other: str, times: int = 5) -> Opened:
        """Open a stored chat, with the chat `other` in between."""
        found: list[float] = []
        cpu: list[float] = []
        for _ in range(times):
            await self.chat.listed(other).click()
            await expect(self.page).to_have_title(f"{other} · Chat")
            await self.page.wait_for_timeout(300)
            before = await self._cpu_ms()
            found.append(await self.page.evaluate(_OPEN, [title, last]))
            cpu.append(await self._cpu_ms() - before)
        nodes: int = await self.page.evaluate("document.querySelectorAll('*').length")
        return Opened(found, cpu, nodes)

    async def _cpu_ms(self) -> float:
        """The processor time of all tasks so far."""
        await self._cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
        metrics = (await self._cdp.send("Performance.getMetrics"))["metrics"]
        return 1000 * float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

    async def type_text(self, text: str = KEYS) -> tuple[list[float], float]:
        """The delays from each key to the painted frame, and the processor time of each key."""
        await self.page.evaluate(_LISTEN)
        await self.chat.message.focus()
        before = await self._cpu_ms()
        for key in text:
            await self.page.keyboard.press(key)
            await asyncio.sleep(0.08)
        delays: list[float] = await self.page.evaluate("window.delays")
        each = (await self._cpu_ms() - before) / len(text)
        await self.chat.message.fill("")
        return delays, each


def prose_text(words: int) -> str:
    return "".join(pieces("prose", words))


async def store_long_chats(measured: MeasuredPage) -> None:
    """Chats of 1,000 messages: prose, and math, code and a list in every answer."""
    await measured.store("Short", 1, "Hello.")
    await measured.store("Prose", 500, prose_text(120))
    await measured.store("Rich", 500, RICH)
    await measured.store("Earlier", 100, prose_text(120))
