"""Speed of the chat page: `python -m benchmarks.page`.

The built page in Chromium, served by the gateway in another process with a fake model. Prints each
figure beside its goal: Lighthouse's scores, the main thread's time for each streamed token, the
longest task of a streamed table, the time to open a chat of 1,000 messages, and the delay of a key
in it. Times of tokens and of tasks are processor times; the others include the time in which other
processes had the core, so run it on a machine without other load. Lighthouse is left out unless its
command is given: `npm install --prefix DIR lighthouse@12`, then
`--lighthouse DIR/node_modules/.bin/lighthouse`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from playwright.async_api import Browser, Playwright, async_playwright

from benchmarks.page_lighthouse import scores
from benchmarks.page_measures import MeasuredPage, prose_text, store_long_chats
from benchmarks.page_server import page_server
from benchmarks.page_texts import RICH
from tests.web import page_build
from tests.web.conftest import FLAGS
from toolchain.setup.browsers import CHROMIUM, program

PHONE = 4
"""How many times slower Lighthouse makes the processor for a phone."""


@dataclass(frozen=True)
class Row:
    """One figure of the table."""

    what: str
    figure: str
    goal: str
    met: bool | None = None
    """None for a figure without a goal."""

    def __str__(self) -> str:
        mark = {True: "yes", False: "**no**", None: ""}[self.met]
        return f"| {self.what} | {self.figure} | {self.goal} | {mark} |"


@dataclass(frozen=True)
class Setting:
    """What the groups of figures need."""

    playwright: Playwright
    browser: Browser
    url: str
    options: argparse.Namespace


Group = Callable[[Setting], AsyncIterator[Row]]


async def lighthouse(setting: Setting) -> AsyncIterator[Row]:
    """Scores on a desktop and a phone."""
    if not setting.options.lighthouse:
        return
    chat = [(f"Question {number}", prose_text(120) + RICH) for number in range(10)]
    for desktop, goal in ((True, 95), (False, 90)):
        for name, exchanges in (("no chats", []), ("an open chat", chat)):
            runs = await scores(
                setting.playwright,
                [setting.options.lighthouse],
                setting.url,
                desktop=desktop,
                exchanges=exchanges,
                runs=setting.options.runs,
            )
            middle = runs[len(runs) // 2]
            where = f"Lighthouse, {'desktop' if desktop else 'mobile'}, {name}"
            for category, least in (
                ("performance", goal),
                ("accessibility", 100),
                ("best-practices", 100),
            ):
                found = middle.categories[category]
                yield Row(f"{where}: {category}", f"{found:g}", f"≥ {least}", found >= least)
            audits = ", ".join(f"{name} {value:.4g}" for name, value in middle.audits.items())
            yield Row(f"{where}: {len(runs)} runs", audits, "")


async def tokens(setting: Setting) -> AsyncIterator[Row]:
    """The main thread's time for each streamed token."""
    kinds = (
        ("prose", 50, 1.5),
        ("prose", 300, 1.5),
        ("paragraph", 50, None),
        ("code", 50, None),
        ("list", 50, None),
        ("table", 50, None),
        ("math", 50, None),
    )
    for kind, rate, goal in kinds:
        measured = await MeasuredPage.open(setting.browser, setting.url)
        yield await _token_row(measured, setting, kind, rate, goal, "")
        await measured.context.close()
    measured = await MeasuredPage.open(setting.browser, setting.url)
    await measured.store("Earlier", 100, prose_text(120))
    await measured.chat.listed("Earlier").click()
    for rate in (50, 300):
        yield await _token_row(measured, setting, "prose", rate, 2.0, ", after 200 messages")
    await measured.context.close()


async def _token_row(
    measured: MeasuredPage, setting: Setting, kind: str, rate: int, goal: float | None, where: str
) -> Row:
    count = setting.options.tokens
    # The first answer loads what later ones have.
    await measured.stream(kind, 20, 200)
    traced, _ = await measured.stream(kind, count, rate)
    each = traced.cpu_ms / count
    if setting.options.parts:
        for name, spent in sorted(traced.parts.items(), key=lambda item: -item[1])[:14]:
            print(f"    {name:<50} {spent / count:8.3f}")
    return Row(
        f"{kind} at {rate} tokens/s{where}",
        f"{each:.2f} ms each (longest task {traced.longest_ms:.0f} ms)",
        f"≤ {goal} ms" if goal else "",
        each <= goal if goal else None,
    )


async def long_table(setting: Setting) -> AsyncIterator[Row]:
    """A table of 1,000 rows."""
    for rate, phone in ((50, False), (200, False), (200, True)):
        measured = await MeasuredPage.open(setting.browser, setting.url)
        await measured.stream("table", 20, 200)
        await measured.throttle(PHONE if phone else 1)
        traced, long = await measured.stream("rows", 1000, rate)
        await measured.context.close()
        what = f"table of 1,000 rows, {rate}/s{', processor of a phone' if phone else ''}"
        longest = traced.longest_ms
        figure = f"longest task {longest:.0f} ms ({max(long, default=0):.0f} ms with waiting)"
        goal = (None, "") if phone else (longest <= 100, "≤ 100 ms")
        yield Row(what, figure, goal[1], goal[0])


async def long_chat(setting: Setting) -> AsyncIterator[Row]:
    """Opening a chat of 1,000 messages, and typing in it."""
    measured = await MeasuredPage.open(setting.browser, setting.url)
    await store_long_chats(measured)
    for rate in (1, PHONE):
        where = ", processor of a phone" if rate > 1 else ""
        for title in ("Prose", "Rich"):
            await measured.throttle(rate)
            opened = await measured.open_repeatedly(title, "End 500.", "Short")
            worst = max(opened.milliseconds)
            figure = (
                f"{median(opened.milliseconds):.0f} ms, at most {worst:.0f} ms"
                f" (processor {median(opened.cpu_ms):.0f} ms, at most {max(opened.cpu_ms):.0f} ms)"
            )
            yield Row(
                f"open 1,000 messages, {title.lower()}{where}",
                f"{figure}; {opened.nodes:,} nodes",
                "" if rate > 1 else "< 500 ms",
                None if rate > 1 else worst < 500,
            )
            delays, each = await measured.type_text()
            late = max(delays)
            yield Row(
                f"a key in it{where}",
                f"{median(delays):.0f} ms, at most {late:.0f} ms (processor {each:.1f} ms)",
                "" if rate > 1 else "< 50 ms",
                None if rate > 1 else late < 50,
            )
    await measured.context.close()


GROUPS: dict[str, Group] = {
    "lighthouse": lighthouse,
    "tokens": tokens,
    "table": long_table,
    "long-chat": long_chat,
}


async def _measure(options: argparse.Namespace) -> None:
    print("| what | figure | goal | met |\n|---|---|---|---|", flush=True)
    with page_server(options.dist or page_build.build()) as url:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=program(CHROMIUM), args=FLAGS
            )
            for name in options.only or GROUPS:
                async for row in GROUPS[name](Setting(playwright, browser, url, options)):
                    print(row, flush=True)
            await browser.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(GROUPS))
    parser.add_argument("--lighthouse", metavar="COMMAND")
    parser.add_argument("--dist", type=Path, help="another build of the page")
    parser.add_argument("--runs", type=int, default=3, help="of Lighthouse")
    parser.add_argument("--tokens", type=int, default=600, help="of each streamed text")
    parser.add_argument(
        "--parts", action="store_true", help="print the kinds of work for each token"
    )
    asyncio.run(_measure(parser.parse_args()))


if __name__ == "__main__":
    main()
