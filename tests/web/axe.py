"""The checks of axe-core in a page."""

from __future__ import annotations

from playwright.async_api import Page

from tests.web import page_build

_AXE = page_build.WEB / "node_modules" / "axe-core" / "axe.min.js"


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
