"""Mermaid blocks as diagrams: complete ones, both themes, the way back to the code, hostile sources."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOW = "flowchart LR\n  A[Client] -->|asks| B{Gateway}\n"


def _block(source: str) -> str:
    return f"```mermaid\n{source}\n```\n\n"


def _diagrams(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("img", name="Diagram of the type")


async def test_a_complete_block_becomes_a_diagram_that_can_be_shown_as_code(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    await chat.ask("Draw")
    answer = await alpha.next_answer()
    await answer.say("Here:\n\n```mermaid\n", FLOW)
    await expect(chat.answers).to_contain_text("A[Client]")
    await expect(_diagrams(chat)).to_have_count(0)
    await answer.finish("```\n\nDone.")
    diagram = _diagrams(chat)
    await expect(diagram).to_be_visible()
    await expect(diagram).to_have_attribute(
        "alt", "Diagram of the type flowchart; its code has the same content."
    )
    assert (await _size(diagram))[0] > 150
    code = chat.answers.locator("pre")
    await expect(code).to_be_hidden()
    await chat.button("Show code").click()
    await expect(code).to_contain_text("A[Client]")
    await expect(diagram).to_be_hidden()
    await chat.button("Show diagram").click()
    await expect(diagram).to_be_visible()


async def _size(image: Locator) -> tuple[int, int]:
    width, height = await image.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    return width, height


async def test_the_diagram_has_the_colours_of_the_theme(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say(_block(FLOW))
    await chat.ask("Draw")
    light = await _diagrams(chat).get_attribute("src")
    await chat.button("Dark theme").click()
    await expect(_diagrams(chat)).not_to_have_attribute("src", light or "")
    await expect(_diagrams(chat)).to_be_visible()


async def test_what_is_not_a_diagram_stays_code(chat: ChatPage, alpha: ScriptedModel) -> None:
    broken = "flowchart LR\n  A -->\n  ]]"
    many = "flowchart LR\n" + "\n".join(f"  A{n} --> B{n}" for n in range(900))
    long = FLOW + "  %% a comment\n" * 2000
    alpha.always_say(_block(broken), _block(many), _block(long), _block(FLOW))
    await chat.ask("Draw")
    # The last one is drawn after the others were tried.
    await expect(_diagrams(chat)).to_have_count(1)
    await expect(chat.answers.locator("pre").first).to_be_visible()
    await expect(chat.answers.get_by_role("button", name="Show code")).to_have_count(1)


HOSTILE = (
    'flowchart LR\n  A["<img src=x onerror=alert(1)>"] --> B\n  click B call alert(1)\n',
    'flowchart LR\n  A["<iframe src=https://example.org></iframe>"]\n',
    'flowchart LR\n  A --> B\n  click A "https://example.org/track" _blank\n',
    "flowchart LR\n  A --> B\n  style A fill:url(https://example.org/x.svg)\n",
    "%%{init: {'securityLevel': 'loose', 'themeCSS': '@import url(https://example.org/x.css);'}}%%\n"
    "flowchart LR\n  A --> B\n",
)


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_diagram_runs_nothing_and_loads_nothing(
    chat: ChatPage, alpha: ScriptedModel, source: str
) -> None:
    """The fixture of the browser fails on requests to other hosts."""
    opened: list[str] = []
    chat.page.context.on("page", lambda page: opened.append(page.url))
    chat.page.on("dialog", lambda dialog: opened.append(dialog.message))
    alpha.always_say(_block(source), _block(FLOW))
    await chat.ask("Draw")
    await expect(_diagrams(chat).last).to_be_visible()
    await _diagrams(chat).first.click()
    assert opened == []
    assert await chat.page.locator("svg a, .markdown iframe").count() == 0


async def test_the_frame_has_no_origin(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say(_block(FLOW))
    await chat.ask("Draw")
    await expect(_diagrams(chat)).to_be_visible()
    (frame,) = chat.page.frames[1:]
    assert await frame.evaluate("self.origin") == "null"
    hidden = "(() => { try { return parent.document.title } catch { return 'refused' } })()"
    assert await frame.evaluate(hidden) == "refused"
