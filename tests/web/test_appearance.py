"""Width, themes, motion, and axe-core's checks of every view."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import TIMEOUT_MS, GatewayFactory, collect_faults, served
from tests.web.page_build import WEB
from tests.web.sample_files import png, text_file

pytestmark = pytest.mark.asyncio(loop_scope="session")

Theme = Literal["light", "dark"]
PHONE: ViewportSize = {"width": 390, "height": 844}
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
ANSWER = """<think>Hm.</think>## A heading

Some `code` and a [link](https://example.org), then $x^2$.

```python
def very_long_name_of_a_function(argument_one, argument_two, argument_three, argument_four):
    return "text"  # comment
```

| Name | Value |
|------|------:|
| a very long name that needs its room | 1,000,000,000,000,000,000,000,000,000 |

> A quotation

1. One
2. Two
"""


async def test_everything_fits_the_width_of_a_phone(
    browser: Browser, gateway: str, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    alpha.always_say(ANSWER)
    beta.always_say(ANSWER, "x" * 400)
    context = await browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
    context.set_default_timeout(TIMEOUT_MS)
    faults = collect_faults(context)
    chat = ChatPage(await context.new_page(), gateway)
    await chat.open("?models=alpha,beta")
    await _fits(chat.page)
    await chat.message.fill("A question with averyveryverylongword" + "o" * 60)
    # A phone's keyboard does not have Shift + Enter: there, Enter starts a new line.
    await chat.message.press("Enter")
    await chat.button("Send").tap()
    await expect(chat.button("Send")).to_be_visible()
    await expect(chat.answer_of("beta")).to_contain_text("A quotation")
    await _fits(chat.page)
    await chat.picker.tap()
    await expect(chat.dialog("Models")).to_be_visible()
    await _fits(chat.page)
    await chat.dialog("Models").get_by_role("button", name="Close").tap()

    await chat.button("Show chats").tap()
    await expect(chat.listed("A question with")).to_be_in_viewport()
    await _fits(chat.page)
    await chat.page.keyboard.press("Escape")
    await expect(chat.listed("A question with")).not_to_be_in_viewport()
    await chat.button("Show chats").tap()
    drawer = chat.page.get_by_role("complementary", name="Chats")
    await drawer.get_by_role("button", name="New chat").tap()
    await expect(chat.answers).to_have_count(0)
    await expect(chat.message).to_be_in_viewport()
    await context.close()
    assert faults == []


async def _fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_theme_follows_the_system_until_the_user_chooses(
    chat: ChatPage, theme: Theme
) -> None:
    shades = {"light": "rgb(251, 250, 248)", "dark": "rgb(23, 22, 20)"}
    other: Theme = "dark" if theme == "light" else "light"
    await chat.page.emulate_media(color_scheme=theme)
    root = chat.page.locator("html")
    await expect(root).to_have_css("background-color", shades[theme])
    await chat.button(f"{other.capitalize()} theme").click()
    await expect(root).to_have_css("background-color", shades[other])
    await chat.page.reload()
    await expect(root).to_have_css("background-color", shades[other])
    await chat.button("System theme").click()
    await expect(root).to_have_css("background-color", shades[theme])


async def test_reduced_motion_disables_animations(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.page.emulate_media(reduced_motion="reduce")
    await chat.ask("Wait")
    answer = await alpha.next_answer()
    await expect(chat.page.locator(".pulse")).to_have_css("animation-name", "none")
    await chat.page.emulate_media(reduced_motion="no-preference")
    await expect(chat.page.locator(".pulse")).to_have_css("animation-name", "pulse")
    await answer.finish("Done.")
    await expect(chat.answer_of("alpha")).to_contain_text("Done.")


async def _empty(chat: ChatPage) -> None:
    await expect(chat.page.get_by_text("What can I help with?")).to_be_visible()


async def _files(chat: ChatPage) -> None:
    await chat.button("Chat settings").click()
    await chat.page.get_by_label("System prompt").fill("Answer briefly.")
    await chat.page.get_by_text("More settings").click()
    await chat.page.get_by_label("Seed").fill("-1")
    await expect(chat.page.get_by_text("Enter a whole number")).to_be_visible()
    assert await _violations(chat.page) == []
    await chat.page.keyboard.press("Escape")
    async with chat.page.expect_file_chooser() as chooser:
        await chat.button("Attach files").click()
    await (await chooser.value).set_files(
        [text_file("تقرير.csv", "a,b"), png("photo.png", 9, 9), text_file("long.txt", "w " * 9000)]
    )
    await expect(chat.page.get_by_text("The message is too long")).to_be_visible()


async def _prompts(chat: ChatPage) -> None:
    await _from_menu(chat, "Prompts")
    await chat.button("New prompt").click()
    await chat.page.get_by_label("Title", exact=True).fill("Translate")
    await chat.page.get_by_label("Text", exact=True).fill("Into {{language}}: {{text}}")
    assert await _violations(chat.page) == []
    await chat.button("Save prompt").click()
    await expect(chat.button("Delete Translate")).to_be_visible()
    assert await _violations(chat.page) == []
    await chat.page.keyboard.press("Escape")
    await chat.message.press_sequentially("/")
    await expect(chat.page.get_by_role("option")).to_have_count(2)
    assert await _violations(chat.page) == []
    await chat.page.keyboard.press("Enter")
    await expect(chat.dialog("Translate")).to_be_visible()


async def _all_chats(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.button("More about this answer").click()
    await chat.page.get_by_role("menuitem", name="Edit answer").click()
    assert await _violations(chat.page) == []
    await _from_menu(chat, "Manage chats")
    await chat.button("Delete all chats").click()


async def _from_menu(chat: ChatPage, item: str) -> None:
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name=item).click()


async def _conversation(chat: ChatPage) -> None:
    await chat.ask("Show me everything")
    await expect(chat.answers.first).to_contain_text("A quotation")
    await expect(chat.page.locator(".katex").first).to_be_visible()
    await expect(chat.page.locator(".hljs-keyword").first).to_be_visible()
    await expect(chat.button("Send")).to_be_visible()
    await chat.page.locator("summary").first.click()


async def _comparison(chat: ChatPage) -> None:
    await chat.open("?models=alpha,beta")
    await _conversation(chat)


async def _editing(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.button("Edit message").click()


async def _models(chat: ChatPage) -> None:
    await chat.open("?models=alpha,beta")
    await chat.picker.click()
    await expect(chat.page.get_by_text("Down", exact=True)).to_be_visible()
    await expect(chat.page.get_by_text("Demo model", exact=True)).to_be_visible()


async def _settings(chat: ChatPage) -> None:
    await chat.button("Chat settings").click()


async def _search(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.page.keyboard.press("Control+k")
    await chat.page.keyboard.type("everything")
    await expect(chat.page.get_by_role("option")).to_have_count(1)


async def _shortcuts(chat: ChatPage) -> None:
    await chat.picker.focus()
    await chat.page.keyboard.press("?")


async def _key(chat: ChatPage) -> None:
    await chat.button("More").click()
    await chat.page.get_by_role("menuitem", name="API key").click()


async def _menu(chat: ChatPage) -> None:
    await _conversation(chat)
    await chat.button("Actions for Show me everything").click()


async def _failure(chat: ChatPage) -> None:
    await chat.open("?models=gone")
    await chat.ask("Hello?")
    await expect(chat.page.get_by_role("alert")).to_be_visible()


async def _notice(chat: ChatPage) -> None:
    await _menu(chat)
    await chat.page.get_by_role("menuitem", name="Delete").click()
    await expect(chat.notice).to_be_visible()


View = Callable[[ChatPage], Awaitable[None]]
VIEWS: list[View] = [
    _empty, _files, _prompts, _all_chats, _conversation, _comparison, _editing, _models, _settings, _search, _shortcuts, _key, _menu, _failure, _notice,
]  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__.strip("_"))
async def test_axe_finds_no_serious_violation(
    page: Page,
    gateway_with: GatewayFactory,
    alpha: ScriptedModel,
    beta: ScriptedModel,
    view: View,
    theme: Theme,
) -> None:
    alpha.always_say(ANSWER)
    beta.always_say(ANSWER)
    models: list[dict[str, Any]] = [
        served(alpha, description="Small", context=4096),
        served(beta, placeholder={"model": "tiny", "reason": "no hub could be reached"}),
        {"id": "gone", "replicas": ["http://127.0.0.1:9"]},
    ]
    async with gateway_with(*models) as url:
        chat = ChatPage(page, url)
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await chat.open()
        await view(chat)
        assert await _violations(page) == []


async def _violations(page: Page) -> list[str]:
    """Serious and critical violations, each with the elements concerned."""
    await page.evaluate(AXE.read_text())
    report = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in report["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
