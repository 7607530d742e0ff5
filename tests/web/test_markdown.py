"""Markdown as models write it: line breaks, task lists, footnotes, directions, headings."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

POEM = "Roses are red,\nViolets are blue,\nSugar is sweet."
ARABIC = "مرحبا بالعالم"
MIXED = f"""# Level one

## Level two

### Level three

#### Level four

{POEM}

- [ ] open
- [x] done

| Step | Text |
|------|------|
| 1 | first<br>second |

Known[^1] and known[^why] again[^1].

[^1]: The first note.
[^why]: The second note.

{ARABIC}

1. {ARABIC}
"""


async def _lines(block: Locator) -> int:
    """How many lines of text the block has on screen."""
    height: float = await block.evaluate(
        "block => block.getBoundingClientRect().height / parseFloat(getComputedStyle(block).lineHeight)"
    )
    return round(height)


async def test_everything_that_models_write_is_shown(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Everything")
    answer = await alpha.next_answer()
    # In pieces, so that each incomplete state is rendered too.
    await answer.say(*(MIXED[at : at + 40] for at in range(0, len(MIXED), 40)))
    await answer.finish("\nThe end.")
    shown = chat.answer_of("alpha").locator(".markdown")
    await expect(shown).to_contain_text("The end.")
    assert await _lines(shown.locator("p", has_text="Roses")) == 3
    assert await _lines(shown.locator("td", has_text="first")) >= 2
    await expect(shown.locator("li.task")).to_have_text(["☐ open", "☑ done"])
    await expect(shown.locator("sup")).to_have_text(["[1]", "[2]", "[1]"])
    await expect(shown.locator(".footnotes li")).to_have_text(
        ["The first note.", "The second note."]
    )
    sizes = [
        await heading.evaluate("heading => parseFloat(getComputedStyle(heading).fontSize)")
        for heading in await shown.get_by_role("heading").all()
    ]
    # Each level is visibly smaller than the one above it.
    assert all(upper / lower >= 1.12 for upper, lower in pairwise(sizes)), sizes


async def test_right_to_left_text_runs_from_right_to_left(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say(f"{ARABIC}.\n\n1. {ARABIC}\n\nIn English.\n\n```\ncode\n```\n")
    await chat.ask(ARABIC)
    shown = chat.answer_of("alpha").locator(".markdown")
    await expect(shown).to_contain_text("In English.")
    for block in (
        shown.locator("p").first,
        shown.locator("ol"),
        chat.page.locator(".bubble"),
        chat.listed(ARABIC),
    ):
        await expect(block).to_have_css("direction", "rtl")
    await expect(shown.get_by_text("In English.")).to_have_css("direction", "ltr")
    await expect(shown.locator(".code")).to_have_css("direction", "ltr")
    await chat.message.fill(ARABIC)
    await expect(chat.message).to_have_css("direction", "rtl")


async def test_details_open_at_their_summary(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say(
        "<details><summary>The **proof**</summary>\n\n1. First\n\n```python\nx = 1\n```\n\n</details>\n\n",
        "After\n\n<details onclick=x>",
    )
    await chat.ask("Prove it")
    answer = chat.answer_of("alpha")
    details = answer.locator("details")
    await expect(details.locator("summary strong")).to_have_text("proof")
    await expect(details.get_by_text("First")).to_be_hidden()
    await details.locator("summary").click()
    await expect(details.get_by_text("First")).to_be_visible()
    await expect(details.get_by_role("button", name="Copy code")).to_be_visible()
    await expect(answer.get_by_text("After")).to_be_visible()
    await expect(answer.get_by_text("<details onclick=x>")).to_be_visible()


# The definition comes first: a link before it is text until the whole answer is rendered again.
GROWING = """[home]: https://example.org

A *first* paragraph with $a^2$ and [a link][home],
on two lines.

1. one
2. two with `code`

   ```python
   nested = 1
   ```
3. three

- [ ] open
- [x] done
  - nested

| Name | Value |
|:-----|------:|
| $x$ | **1** |
| two | [home] |
| three |
A line that is a row

> A quotation
> that goes on

\\[ \\int_0^1 x\\,dx \\]

```python
def f():
    return 1
```

<details><summary>More</summary>

Inside

</details>

End.
"""


async def test_an_answer_that_grew_looks_as_one_that_came_at_once(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    shown = chat.answer_of("alpha").locator(".markdown")
    await chat.ask("Everything")
    answer = await alpha.next_answer()
    for at in range(0, len(GROWING), 3):
        await answer.say(GROWING[at : at + 3])
    await answer.finish()
    await expect(shown).to_contain_text("End.")
    await expect(shown.locator(".katex")).to_have_count(3)
    await expect(shown.locator(".hljs-keyword")).to_have_count(2)
    grown = await shown.inner_html()
    await chat.page.reload()
    await expect(shown.locator(".katex")).to_have_count(3)
    await expect(shown.locator(".hljs-keyword")).to_have_count(2)
    assert _tight(await shown.inner_html()) == _tight(grown)


def _tight(markup: str) -> str:
    """Without the space between elements, which is not shown."""
    return re.sub(r">\s+<", "><", markup).strip()


async def test_the_rows_of_a_growing_table_are_not_rebuilt(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    shown = chat.answer_of("alpha").locator(".markdown")
    await chat.ask("A table")
    answer = await alpha.next_answer()
    await answer.say("| a | b |\n|---|---|\n| 1 | one |\n| 2 | tw")
    await expect(shown.get_by_role("cell", name="tw")).to_be_visible()
    await shown.locator("tr").evaluate_all("rows => rows.forEach(row => (row.kept = true))")
    await answer.say("o |\n| 3 | three |\n| 4 | fou")
    await expect(shown.get_by_role("cell", name="fou")).to_be_visible()
    await answer.finish("r |\n\nAfter the table")
    await expect(shown).to_contain_text("After the table")
    await expect(shown.get_by_role("cell")).to_have_text(
        ["1", "one", "2", "two", "3", "three", "4", "four"]
    )
    kept = await shown.locator("tr").evaluate_all("rows => rows.map(row => row.kept === true)")
    assert kept == [True, True, True, False, False]


async def test_code_is_wrapped_and_saved_and_a_table_is_copied(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    line = f"print({' + '.join(map(str, range(100)))})\n"
    table = "| a | b |\n|---|---|\n| $x^2$ | one<br>two |\n| **3** | 4 |\n"
    alpha.always_say(f"```python\n{line}```\n\n{table}")
    await chat.ask("Code and a table")
    shown = chat.answer_of("alpha")
    await expect(shown.locator(".katex")).to_have_count(1)
    code = shown.locator("pre")
    assert await code.evaluate("one => one.scrollWidth > one.clientWidth")
    await chat.button("Wrap lines").click()
    assert await code.evaluate("one => one.scrollWidth === one.clientWidth")
    await expect(chat.button("Wrap lines")).to_have_attribute("aria-pressed", "true")
    async with chat.page.expect_download() as download:
        await chat.button("Download code").click()
    saved = await download.value
    assert saved.suggested_filename == "code.py"
    assert (await saved.path()).read_text() == line
    await chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await chat.button("Copy table").click()
    await expect(shown.get_by_text("Copied")).to_be_visible()
    copied = await chat.page.evaluate("navigator.clipboard.readText()")
    assert copied == "a\tb\nx^2\tone two\n3\t4"


async def test_what_is_selected_and_opened_stays_so_while_the_answer_grows(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    shown = chat.answer_of("alpha").locator(".markdown")
    await chat.ask("Words")
    answer = await alpha.next_answer()
    await answer.say("- one\n- Some words to")
    await expect(shown).to_contain_text("Some words to")
    await shown.locator("li").last.evaluate(
        "item => getSelection().setBaseAndExtent(item.firstChild, 5, item.firstChild, 10)"
    )
    await answer.say(" copy *in* a list\n- three")
    await expect(shown).to_contain_text("three")
    assert await chat.page.evaluate("getSelection().toString()") == "words"
    await answer.say("\n\n<details><summary>More</summary>\n\nIn")
    await shown.get_by_text("More").click()
    await answer.say("side it")
    await expect(shown.get_by_text("Inside it")).to_be_visible()
    await answer.finish()


async def test_the_renderer_is_loaded_with_the_first_input_and_texts_are_shown_without_it(
    page: Page, gateway: str, alpha: ScriptedModel
) -> None:
    loaded: list[str] = []
    alpha.always_say("Some *words*")

    async def refuse(route: Route) -> None:
        loaded.append(route.request.url)
        await route.abort()

    await page.route("**/assets/renderer-*.js", refuse)
    chat = ChatPage(page, gateway)
    await chat.open()
    assert loaded == []
    await chat.ask("Hello?")
    await expect(chat.answer_of("alpha")).to_contain_text("Some *words*")
    await expect(chat.button("Send")).to_be_visible()
    assert loaded != []
    await page.unroute_all()
    await page.reload()
    await expect(chat.answer_of("alpha").locator("em")).to_have_text("words")
