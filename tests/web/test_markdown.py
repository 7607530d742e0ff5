"""Markdown as models write it: line breaks, task lists, footnotes, directions, headings."""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.async_api import Locator, expect

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
