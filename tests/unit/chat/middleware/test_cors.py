"""Cross-origin requests: which origins may call, and what a preflight allows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ORIGINS = [
    "app://obsidian.md",
    "chrome-extension://*",
    "vscode-webview://*",
    "https://*.example.com",
    "http://localhost:*",
    "https://one.example:8443",
]
# Headers of OpenAI's and Anthropic's JavaScript clients, and of OpenRouter's users.
SENT_HEADERS = (
    "authorization,content-type,x-stainless-arch,x-stainless-retry-count,x-api-key,x-request-id,"
    "anthropic-version,anthropic-beta,anthropic-dangerous-direct-browser-access,openai-beta,"
    "openai-organization,http-referer,x-title"
)


@pytest.fixture
async def site(server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running(settings(server.url, cors_origins=ORIGINS)) as url,
        client_of(url) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "origin",
    [
        "app://obsidian.md",
        "chrome-extension://abcdefghijklmnop",
        "vscode-webview://1k2j3h",
        "https://a.example.com",
        "https://a.b.example.com",
        "http://localhost:3000",
        "https://one.example:8443",
    ],
)
async def test_an_allowed_origin_may_send_a_request(site: httpx.AsyncClient, origin: str) -> None:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": SENT_HEADERS,
        "access-control-request-private-network": "true",
    }
    preflight = await site.options("/v1/chat/completions", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin
    allowed = preflight.headers["access-control-allow-headers"].lower().split(",")
    assert {name.strip() for name in allowed} >= set(SENT_HEADERS.split(","))
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert int(preflight.headers["access-control-max-age"]) >= 600
    assert preflight.headers["access-control-allow-private-network"] == "true"

    response = await site.post("/v1/chat/completions", json=QUESTION, headers={"origin": origin})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "retry-after", "x-ratelimit-remaining-tokens"} <= set(exposed)
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        "app://obsidian.md.evil",
        "moz-extension://abc",
        "https://example.com.evil.example",
        "https://evilexample.com",
        "http://a.example.com",
        "https://one.example",
        "https://a.example.com:8443",
        "http://localhost:3000.evil.example",
        "null",
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
async def test_another_origin_may_not(
    site: httpx.AsyncClient, server: ModelServer, origin: str, method: str
) -> None:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    response = await site.request(method, "/v1/chat/completions", json=QUESTION, headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers
    assert not server.received


@pytest.mark.parametrize("origin", ["https://any.example", "null", "moz-extension://1-2"])
async def test_a_stack_can_allow_every_origin(server: ModelServer, origin: str) -> None:
    async with (
        running(settings(server.url, cors_origins=["*"])) as url,
        client_of(url, origin=origin) as client,
    ):
        response = await client.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin


async def test_an_error_of_an_allowed_origin_can_be_read(site: httpx.AsyncClient) -> None:
    response = await site.post(
        "/v1/chat/completions", json={}, headers={"origin": "app://obsidian.md"}
    )
    assert response.status_code == 400
    assert response.headers["access-control-allow-origin"] == "app://obsidian.md"
