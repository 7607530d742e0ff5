"""Fixtures of the page's tests: the built page, models, the real gateway, and Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
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

CHROMIUM = "/usr/bin/chromium"
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
# A step that waits for the page gives up after this many milliseconds.
PATIENCE = 15_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def dist() -> Path:
    return page_build.build()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
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
    """Runs the gateway for the given models; gives its address."""

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
    """How gateway.json describes the model."""
    return {"id": model.name, "slots": 2, "replicas": [model.server.url], **more}


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(
    gateway_with: GatewayFactory, alpha: ScriptedModel, beta: ScriptedModel
) -> AsyncIterator[str]:
    """The address of a gateway with two models."""
    described = [
        served(alpha, description="A small general model", context=4096),
        served(beta, description="A coding model", context=8192),
    ]
    async with gateway_with(*described) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser profile of its own for each test, which must not meet an error or call elsewhere."""
    opened = await browser.new_context(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(PATIENCE)
    wrongs = watch_for_wrongs(opened)
    yield opened
    await opened.close()
    assert wrongs == []


def watch_for_wrongs(context: BrowserContext) -> list[str]:
    """What no page may do: throw, break its own policy, or ask anyone but its gateway."""
    wrongs: list[str] = []
    context.on("weberror", lambda error: wrongs.append(f"thrown: {error.error}"))

    def on_console(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "TrustedHTML" in message.text:
            wrongs.append(f"policy: {message.text}")

    def on_request(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            wrongs.append(f"asked elsewhere: {request.url}")

    context.on("console", on_console)
    context.on("request", on_request)
    return wrongs


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def chat(page: Page, gateway: str) -> ChatPage:
    """The page, open and ready for a message."""
    chat = ChatPage(page, gateway)
    await chat.open()
    return chat
