"""Page object of the chat page, for Playwright."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect


class ChatPage:
    """Finds elements by their accessible names."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    async def open(self, query: str = "") -> None:
        await self.page.goto(f"{self.url}/{query}")
        await expect(self.message).to_be_visible()
        await expect(self.picker).not_to_contain_text("Choose a model")

    async def compare_blindly(self, *models: str) -> None:
        """Open the page with several models whose names are hidden until the vote."""
        await self.open(f"?models={','.join(models)}")
        await self.picker.click()
        await self.page.get_by_role("switch", name="Blind comparison").check()
        await self.page.keyboard.press("Escape")

    @property
    def message(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def picker(self) -> Locator:
        return self.page.get_by_role("button", name="Models:")

    @property
    def answers(self) -> Locator:
        return self.page.get_by_role("article")

    @property
    def stop(self) -> Locator:
        return self.page.get_by_role("button", name="Stop", exact=True)

    @property
    def notice(self) -> Locator:
        return self.page.locator(".notice")

    def answer_of(self, model: str) -> Locator:
        return self.page.get_by_role("article", name=f"Answer of {model}")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def dialog(self, name: str) -> Locator:
        return self.page.get_by_role("dialog", name=name)

    def listed(self, title: str) -> Locator:
        """A conversation in the list."""
        return self.page.get_by_role("navigation", name="Chats").get_by_role("link", name=title)

    async def ask(self, text: str) -> None:
        await self.message.fill(text)
        # Not before the answer before is complete, and the page has taken the text.
        await expect(self.button("Send")).to_be_enabled()
        await self.message.press("Enter")
