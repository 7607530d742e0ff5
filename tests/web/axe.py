"""The checks of axe-core in a page: of all impacts, in both themes."""

from __future__ import annotations

from typing import Literal

from playwright.async_api import Page

from tests.web import page_build

_AXE = page_build.WEB / "node_modules" / "axe-core" / "axe.min.js"
_THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def violations(page: Page) -> list[str]:
    """Every violation, with the elements concerned."""
    page_build.install()
    await page.evaluate(_AXE.read_text())
    report = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in report["violations"]
        for node in violation["nodes"]
    ]


async def assert_no_violations(page: Page) -> None:
    """Check what is shown, in the light theme and in the dark one."""
    for theme in _THEMES:
        # A transition between two colours has neither contrast.
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        found = await violations(page)
        assert found == [], f"{theme} theme:\n" + "\n".join(found)
