"""The monitor's status page in Chromium: keyboard, touch, refresh, themes, axe-core."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect

from app.monitor.decisions.records import Event, EventType
from app.monitor.decisions.states import State
from tests.doubles.scripted_model import ScriptedModel
from tests.doubles.status_site import StatusSite
from tests.web.axe import assert_no_violations
from tests.web.chat_page import ChatPage
from tests.web.conftest import TIMEOUT_MS, GatewayFactory, collect_faults, served

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE: ViewportSize = {"width": 390, "height": 844}
SERVICES: list[dict[str, Any]] = [
    {
        "name": "phi-inference",
        "kind": "inference",
        "url": "http://phi-inference:8000",
        "models": [{"name": "phi-3-mini", "placeholder": "smollm2-135m"}],
    },
    {
        "name": "smol-inference",
        "kind": "inference",
        "url": "http://smol-inference:8000",
        "models": [{"name": "smollm2-135m"}],
    },
    {
        "name": "chat-interface",
        "kind": "chat",
        "url": "http://chat-interface:8080",
        "depends_on": ["phi-inference", "smol-inference"],
    },
]
BUSY_HOURS = (5.0, 19.0, 100.0, 400.0)


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path) -> AsyncIterator[StatusSite]:
    site = StatusSite(tmp_path, SERVICES, chat={"port": 8080})
    await site.client.start_server()
    for name in site.watch.services:
        site.fill_history(name, failed=BUSY_HOURS if name == "phi-inference" else ())
    site.all_ok()
    yield site
    await site.close()


def bars(page: Page, name: str = "phi-inference-day") -> Locator:
    return page.locator(f"#{name}").get_by_role("slider", name=re.compile("Uptime"))


def fail(site: StatusSite, name: str) -> None:
    now = time.time()
    service = site.watch.services[name]
    site.set_record(name, state=State.DOWN, since=now - 60, reason="connection refused", held="why")
    for event_type in (EventType.FAILED, EventType.RESTARTED, EventType.GAVE_UP):
        site.history.on_event(service, Event(event_type, name, now - 60, "connection refused"))


def _down(site: StatusSite) -> None:
    fail(site, "phi-inference")
    site.set_record("smol-inference", state=State.LOADING, reason="loads its model")
    site.set_record("chat-interface", state=State.DEGRADED, reason="slow", flapping=True)


def _new(site: StatusSite) -> None:
    for name, past in site.history.services.items():
        site.history.services[name] = type(past)()
        site.set_record(name, state=State.UNKNOWN, latency=None, checked_at=None)


def _paused(site: StatusSite) -> None:
    for name in site.watch.services:
        site.set_record(name, state=State.STARTING, paused_until=time.time() + 600)


SCENES: list[Callable[[StatusSite], None]] = [StatusSite.all_ok, _down, _new, _paused]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__.strip("_"))
async def test_axe_finds_no_violation(
    page: Page, site: StatusSite, scene: Callable[[StatusSite], None]
) -> None:
    scene(site)
    await _check_with_axe(page, site.url, "/", "/service/phi-inference", "/service/renamed")


async def _check_with_axe(page: Page, url: str, *paths: str) -> None:
    for path in paths:
        await page.goto(url + path)
        for closed in await page.locator("summary").all():
            await closed.click()
        await assert_no_violations(page)


PUBLIC = {
    "name": "chat-public",
    "kind": "public",
    "url": "https://chat.example.org:443",
    "public": {"sign_in": True},
}


async def test_axe_finds_no_violation_of_maintenance_and_public_addresses(
    page: Page, tmp_path: Path
) -> None:
    # Always: it begins anew before it ends.
    window = {"services": ["phi-inference"], "start": "00:00", "duration": 172_800}
    site = StatusSite(tmp_path, [*SERVICES, PUBLIC], maintenance=[window])
    await site.client.start_server()
    site.all_ok()
    site.watch.restarter_works = False
    fail(site, "phi-inference")
    site.set_record("chat-public", state=State.DOWN, reason="no sign-in is asked for")
    await _check_with_axe(page, site.url, "/", "/service/phi-inference", "/service/chat-public")
    await expect(page.get_by_role("link", name="chat.example.org")).to_be_visible()
    await page.goto(site.url)
    await expect(page.locator("#card-phi-inference")).to_contain_text("Maintenance until")
    await expect(page.get_by_text("Auto-restart is unavailable.")).to_be_visible()
    await site.close()


async def test_a_removed_service_leads_to_the_others(page: Page, site: StatusSite) -> None:
    await page.clock.install()
    await page.goto(f"{site.url}/service/phi-inference")
    del site.watch.services["phi-inference"]
    await page.clock.run_for(35_000)
    await expect(page.locator("#trouble")).to_have_text("This service was removed or renamed.")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("No such service")
    await page.get_by_role("link", name="All services").click()
    await expect(page.locator("#card-smol-inference")).to_be_visible()


async def test_bars_are_read_by_keyboard(page: Page, site: StatusSite) -> None:
    await page.goto(site.url)
    chart = bars(page)
    await chart.focus()
    readout = page.locator("#phi-inference-day .readout")
    await expect(chart).to_have_attribute("aria-valuetext", re.compile("100 % uptime"))
    await page.keyboard.press("ArrowLeft")
    await expect(chart).to_have_attribute("aria-valuetext", re.compile(r"uptime \(down\)"))
    await expect(readout).to_contain_text("uptime (down)")
    await page.keyboard.press("End")
    await expect(readout).to_contain_text("100 % uptime")
    await page.keyboard.press("Tab")
    await expect(readout).to_be_empty()


async def test_bars_are_read_by_touch(browser: Browser, site: StatusSite) -> None:
    context = await browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
    context.set_default_timeout(TIMEOUT_MS)
    faults = collect_faults(context)
    page = await context.new_page()
    await page.goto(site.url)
    chart = bars(page)
    box = await chart.bounding_box()
    assert box is not None
    # The outage of five hours ago, of 24 hours from left to right.
    await chart.tap(position={"x": box["width"] * 18.9 / 24, "y": box["height"] / 2})
    await expect(page.locator("#phi-inference-day .readout")).to_contain_text("uptime (down)")
    for path in ("/", "/service/phi-inference"):
        await page.goto(site.url + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await context.close()
    assert faults == []


async def test_the_day_comes_before_the_months_and_colours_have_a_legend(
    page: Page, site: StatusSite
) -> None:
    await page.goto(site.url)
    captions = page.locator("#card-phi-inference figcaption span")
    await expect(captions).to_have_text(
        ["Uptime, 24 hours", "Uptime, 90 days", "Response time, median"]
    )
    legend = page.get_by_role("list", name="Colors of the bars").get_by_role("listitem")
    await expect(legend).to_have_count(5)
    await expect(page.locator("#card-phi-inference")).to_contain_text("Demo model")
    chat = page.locator("#card-phi-inference").get_by_role("link", name="phi-3-mini")
    await expect(chat).to_have_attribute("href", "http://127.0.0.1:8080/?models=phi-3-mini")


async def test_a_refresh_keeps_focus_scroll_and_open_details(page: Page, site: StatusSite) -> None:
    await page.clock.install()
    await page.set_viewport_size({"width": 1000, "height": 400})
    await page.goto(site.url)
    details = page.locator("#smol-inference-months-list")
    await details.locator("summary").click()
    chart = bars(page, "smol-inference-day")
    await chart.focus()
    before = await chart.bounding_box()
    assert before is not None
    assert await page.evaluate("scrollY") > 0
    fail(site, "phi-inference")
    await page.clock.run_for(35_000)
    await expect(page.get_by_role("heading", level=1)).to_have_text("phi-inference is down")
    await expect(page).to_have_title(re.compile("phi-inference is down"))
    await expect(details).to_have_attribute("open", "")
    await expect(chart).to_be_focused()
    after = await chart.bounding_box()
    assert after is not None
    assert after["y"] == pytest.approx(before["y"], abs=2)
    await expect(page.locator("meta[http-equiv=refresh i]")).to_have_count(0)
    # The failed service moves to the top.
    fail(site, "smol-inference")
    site.set_record("phi-inference", state=State.OK, reason="idle")
    await page.clock.run_for(35_000)
    await expect(page.locator("article.card h2").first).to_have_text("smol-inference")
    await expect(chart).to_be_focused()


async def test_a_monitor_that_cannot_be_reached_is_reported(page: Page, site: StatusSite) -> None:
    await page.clock.install()
    await page.goto(site.url)
    await page.route(site.url + "/", lambda route: route.abort())
    await page.clock.run_for(35_000)
    await expect(page.locator("#trouble")).to_have_text("Can't reach the monitor. Trying again…")
    await page.unroute(site.url + "/")
    await page.clock.run_for(35_000)
    await expect(page.locator("#trouble")).to_be_empty()


async def test_times_are_those_of_the_reader(browser: Browser, site: StatusSite) -> None:
    context = await browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    page = await context.new_page()
    await page.goto(site.url)
    shown = page.locator("#updated time")
    at = await shown.get_attribute("datetime")
    assert at is not None
    hour = (int(at[11:13]) + 9) % 24
    await expect(shown).to_contain_text(f"{hour:02}:{at[14:16]}")
    await context.close()


async def test_the_page_is_complete_without_its_script(browser: Browser, site: StatusSite) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(site.url)
    await expect(page.locator("#updated")).to_contain_text("UTC")
    await expect(page.locator("#updated")).not_to_contain_text("refreshes", use_inner_text=True)
    details = page.locator("#phi-inference-day-list")
    await details.locator("summary").click()
    await expect(details.get_by_role("listitem").nth(1)).to_contain_text("uptime (down)")
    await context.close()


async def test_the_chat_page_links_to_the_status_page(
    page: Page, gateway_with: GatewayFactory, alpha: ScriptedModel
) -> None:
    status_page = {"port": 8090, "url": "https://status.example.com/"}
    async with gateway_with(served(alpha), status_page=status_page) as url:
        chat = ChatPage(page, url)
        await chat.open()
        await chat.picker.click()
        link = chat.dialog("Models").get_by_role("link", name="Status of all services")
        await expect(link).to_have_attribute("href", "http://127.0.0.1:8090/")
        await assert_no_violations(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_colours_are_those_of_the_chat_page(
    page: Page, site: StatusSite, theme: Literal["light", "dark"]
) -> None:
    await page.emulate_media(color_scheme=theme)
    await page.goto(site.url)
    shades = {"light": "rgb(251, 250, 248)", "dark": "rgb(23, 22, 20)"}
    await expect(page.locator("html")).to_have_css("background-color", shades[theme])
