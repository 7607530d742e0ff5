"""Width, themes and motion."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import TIMEOUT_MS, collect_faults
from tests.web.page_states import RICH_ANSWER

pytestmark = pytest.mark.asyncio(loop_scope="session")

Theme = Literal["light", "dark"]
PHONE: ViewportSize = {"width": 390, "height": 844}
BACKGROUND = "(element) => getComputedStyle(element).backgroundColor"


async def test_everything_fits_the_width_of_a_phone(
    browser: Browser, gateway: str, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    alpha.always_say(RICH_ANSWER)
    beta.always_say(RICH_ANSWER, "x" * 400)
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
    # The heads of code blocks stay below the veil.
    await expect(chat.page.locator("main")).to_have_css("isolation", "isolate")
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


async def test_forced_colours_show_what_is_chosen_and_what_is_on(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Yes.")
    await chat.ask("Shown")
    await expect(chat.answers).to_contain_text("Yes.")
    await chat.page.emulate_media(forced_colors="active")
    entry = chat.page.get_by_role("listitem").filter(
        has=chat.page.get_by_role("link", name="Shown")
    )
    await expect(entry).to_have_css("outline-style", "solid")
    await chat.open("?models=alpha,beta")
    await chat.picker.click()
    blind = chat.page.get_by_role("switch", name="Blind comparison")
    await expect(blind).to_have_css("border-style", "solid")
    off = await blind.evaluate(BACKGROUND)
    await blind.check()
    assert await blind.evaluate(BACKGROUND) != off
    chosen = chat.page.get_by_role("listitem").filter(
        has=chat.page.get_by_role("button", name="alpha", pressed=True)
    )
    await expect(chosen).to_have_css("outline-style", "solid")
