"""The state of the models as the page shows it, and API keys."""

from __future__ import annotations

import hashlib

import pytest
from playwright.async_api import Page, expect

from app.chat.settings import KeyFile, Secrets
from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage
from tests.web.conftest import GatewayFactory, served

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_model_that_is_down_is_shown_with_its_reason_and_an_alternative(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    await beta.server.stop()
    alpha.always_say("At your service.")
    async with gateway_with(served(alpha), served(beta)) as url:
        chat = ChatPage(page, url)
        await chat.open("?models=beta")
        note = page.get_by_role("status").filter(has_text="beta: down.")
        await expect(note).to_contain_text("refused")
        await expect(note).to_contain_text("Use another model")
        await chat.picker.click()
        row = page.get_by_role("listitem").filter(has_text="beta")
        await expect(row).to_contain_text("Down")
        await expect(row).to_contain_text("refused")
        await page.keyboard.press("Escape")
        await chat.ask("Hello?")
        await expect(chat.answer_of("beta").get_by_role("alert")).to_contain_text("beta is down")
        await note.get_by_role("button", name="Use alpha").click()
        await chat.ask("Hello?")
        await expect(chat.answer_of("alpha")).to_contain_text("At your service.")


async def test_a_loading_model_becomes_ready(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.server.health = (
        503,
        {"error": {"message": "Loading model", "type": "unavailable_error"}},
    )
    async with gateway_with(served(alpha)) as url:
        chat = ChatPage(page, url)
        await chat.open()
        note = page.get_by_role("status").filter(has_text="alpha: loading.")
        await expect(note).to_be_visible()
        alpha.server.health = (200, {"status": "ok"})
        await expect(note).to_have_count(0)


async def test_a_placeholder_is_labelled(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    placeholder = {"model": "smollm2-135m", "reason": "no model hub could be reached"}
    async with gateway_with(served(alpha, placeholder=placeholder)) as url:
        chat = ChatPage(page, url)
        await chat.open()
        note = page.get_by_role("status").filter(has_text="alpha: demo model.")
        await expect(note).to_contain_text(
            "placeholder text from “smollm2-135m” (no model hub could be reached)"
        )
        await chat.picker.click()
        await expect(chat.dialog("Models").get_by_text("Demo model", exact=True)).to_be_visible()
        await page.keyboard.press("Escape")
        await chat.button("Close this note").click()
        await page.reload()
        # The note stays closed; the name keeps its tag.
        await expect(chat.picker).to_contain_text("Demo")
        await expect(note).to_have_count(0)


async def test_a_newcomer_gets_a_real_model_and_a_choice_is_remembered(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    placeholder = {"model": "tiny", "reason": "no model hub could be reached"}
    async with gateway_with(served(alpha, placeholder=placeholder), served(beta)) as url:
        chat = ChatPage(page, url)
        await chat.open()
        await expect(chat.picker).to_contain_text("beta")
        await chat.picker.click()
        await chat.dialog("Models").get_by_role("button", name="alpha Demo model").click()
        await page.reload()
        await expect(chat.picker).to_contain_text("alpha")


async def test_models_of_other_servers_are_offered_if_they_can_chat(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel, beta: ScriptedModel
) -> None:
    beta.always_say("From elsewhere.")
    far = {
        "name": "far",
        "urls": [beta.server.url],
        "models": ["beta"],
        "description": "A provider",
        "external": True,
    }
    vectors = {**far, "name": "vectors", "models": ["vectors"], "tasks": ["embedding"]}
    async with gateway_with(served(alpha), servers=[far, vectors]) as url:
        chat = ChatPage(page, url)
        await chat.open("?models=auto")
        await expect(page.get_by_text("Your messages stay private.")).to_be_visible()
        await chat.picker.click()
        row = page.get_by_role("listitem").filter(has_text="beta")
        await expect(row).to_contain_text("A provider: the conversation leaves this machine")
        await expect(page.get_by_role("listitem").filter(has_text="vectors")).to_have_count(0)
        await row.get_by_role("button").first.click()
        await expect(page.get_by_text("may be sent to beta")).to_be_visible()
        await chat.ask("Hello?")
        await expect(chat.answer_of("beta")).to_contain_text("From elsewhere.")


async def test_a_model_shows_its_free_slots(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Take a slot")
    answer = await alpha.next_answer()
    await chat.picker.click()
    row = chat.dialog("Models").get_by_role("listitem").filter(has_text="alpha")
    await expect(row).to_contain_text("Ready")
    await answer.finish("Done.")
    await expect(row).to_contain_text("Ready")


async def test_an_unreachable_gateway_is_shown(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    async with gateway_with(served(alpha)) as url:
        chat = ChatPage(page, url)
        await chat.open()
    await expect(page.get_by_role("status").filter(has_text="Can't connect")).to_be_visible()
    await chat.ask("Hello?")
    alert = chat.answer_of("alpha").get_by_role("alert")
    await expect(alert).to_contain_text("Can't connect.")


def _with_api_keys(*keys: str) -> Secrets:
    records = [
        {"name": f"key-{number}", "sha256": hashlib.sha256(key.encode()).hexdigest()}
        for number, key in enumerate(keys)
    ]
    return Secrets(api_keys=KeyFile.model_validate({"keys": records}))


async def test_a_gateway_with_api_keys_asks_for_a_key_and_the_page_forgets_it(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    alpha.always_say("Welcome.")
    async with gateway_with(served(alpha), secrets=_with_api_keys("sk-right")) as url:
        chat = ChatPage(page, url)
        await page.goto(url)
        dialog = chat.dialog("API key")
        await expect(dialog).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_text("Enter your API key to continue.")).to_be_visible()
        await chat.button("Enter a key").click()
        await dialog.get_by_label("Key", exact=True).fill("sk-wrong")
        await page.keyboard.press("Enter")
        await expect(dialog).to_contain_text("isn't valid")
        await dialog.get_by_label("Key", exact=True).fill("sk-right")
        await page.keyboard.press("Enter")
        await expect(chat.picker).to_contain_text("alpha")
        await chat.ask("Knock, knock")
        await expect(chat.answer_of("alpha")).to_contain_text("Welcome.")
        assert "sk-right" not in await page.evaluate("JSON.stringify({ ...localStorage })")
        await page.reload()
        await expect(dialog).to_be_visible()


async def test_a_key_is_stored_when_the_user_chooses_to_remember_it(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    async with gateway_with(served(alpha), secrets=_with_api_keys("sk-right")) as url:
        chat = ChatPage(page, url)
        await page.goto(url)
        await chat.dialog("API key").get_by_label("Key", exact=True).fill("sk-right")
        await page.get_by_role("switch", name="Remember on this device").check()
        await chat.button("Save key").click()
        await expect(chat.picker).to_contain_text("alpha")
        await page.reload()
        await expect(chat.picker).to_contain_text("alpha")
        await expect(chat.dialog("API key")).to_be_hidden()
