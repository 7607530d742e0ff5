"""Fixtures of the page's tests: the built page, model servers, the gateway, Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

from app.chat.settings import GatewaySettings, Secrets
from tests.doubles.running_gateway import running
from tests.doubles.scripted_model import ScriptedModel
from tests.web import page_build
from tests.web.chat_page import ChatPage
from toolchain.setup.browsers import CHROMIUM, program

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Playwright's timeout, in milliseconds. Long, since the machine also runs other tests.
TIMEOUT_MS = 30_000
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def dist() -> Path:
    return page_build.build()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program(CHROMIUM), args=FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def alpha() -> AsyncIterator[ScriptedModel]:
    async with _model("alpha") as model:
        yield model


@pytest_asyncio.fixture(loop_scope="session")
async def beta() -> AsyncIterator[ScriptedModel]:
    async with _model("beta") as model:
        yield model


@contextlib.asynccontextmanager
async def _model(name: str) -> AsyncIterator[ScriptedModel]:
    model = ScriptedModel(name)
    await model.server.start()
    try:
        yield model
    finally:
        await model.server.stop()


GatewayFactory = Callable[..., contextlib.AbstractAsyncContextManager[str]]


@pytest.fixture
def gateway_with(dist: Path) -> GatewayFactory:
    """Runs the gateway with the given models; yields its URL."""

    def start(
        *models: dict[str, Any], secrets: Secrets | None = None, **more: Any
    ) -> contextlib.AbstractAsyncContextManager[str]:
        configuration = {
            "models": list(models),
            "health": {"interval": 0.2, "interval_when_down": 0.05, "timeout": 1},
            "keep_alive": {"first_comment": 0.1},
            **more,
        }
        return running(GatewaySettings.model_validate(configuration), secrets, dist)

    return start


def served(model: ScriptedModel, **more: Any) -> dict[str, Any]:
    """The entry of the model in gateway.json."""
    return {"id": model.name, "slots": 2, "replicas": [model.server.url], **more}


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(
    gateway_with: GatewayFactory, alpha: ScriptedModel, beta: ScriptedModel
) -> AsyncIterator[str]:
    """The URL of a gateway with two models."""
    described = [
        served(alpha, description="A small general model", context=4096),
        served(beta, description="A coding model", context=8192),
    ]
    async with gateway_with(*described) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A new browser profile; the test fails on page errors and on requests to other hosts.

    Without service workers: no route of a test would see their requests.
    """
    async with profile(browser, service_workers="block") as opened:
        yield opened


@contextlib.asynccontextmanager
async def profile(
    browser: Browser, service_workers: Literal["allow", "block"]
) -> AsyncIterator[BrowserContext]:
    """As the fixture `context`."""
    opened = await browser.new_context(
        viewport={"width": 1440, "height": 900}, service_workers=service_workers
    )
    opened.set_default_timeout(TIMEOUT_MS)
    faults = collect_faults(opened)
    yield opened
    await opened.close()
    assert faults == []


def collect_faults(context: BrowserContext) -> list[str]:
    """Collect uncaught errors, policy violations and requests to other hosts."""
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(f"thrown: {error.error}"))

    def on_console(message: ConsoleMessage) -> None:
        if "/diagrams/" in message.location["url"]:
            # The policy of the frame blocks what a hostile diagram attempts.
            return
        if "Content Security Policy" in message.text or "TrustedHTML" in message.text:
            faults.append(f"policy: {message.text}")

    def on_request(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            faults.append(f"request to another host: {request.url}")

    context.on("console", on_console)
    context.on("request", on_request)
    return faults


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def chat(page: Page, gateway: str) -> ChatPage:
    """The page, loaded and ready for a message."""
    chat = ChatPage(page, gateway)
    await chat.open()
    return chat
