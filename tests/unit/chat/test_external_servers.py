"""Servers outside of the stack: by name only, with their own API key, checked rarely or not."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from app.chat.settings import GatewaySettings, Secrets
from app.shared.json_log import JsonLines
from tests.doubles.model_server import ModelServer, listing, refuse
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

NAME = "openai/gpt-4.1-mini"
KEY = "ghp_token"
KEYS = Secrets(upstream_keys={"upstream-github-models": KEY})
QUESTION = {"model": NAME, "messages": [{"role": "user", "content": "Hi"}]}


def with_external(local: ModelServer, far: ModelServer, **more: Any) -> GatewaySettings:
    external = {
        "name": "github-models",
        "description": "GitHub Models",
        "urls": [far.url],
        "path": "/inference",
        "models": [NAME],
        "api_key_file": "upstream-github-models",
        "external": True,
        **more,
    }
    return settings(local.url, servers=[external])


async def ready(client: httpx.AsyncClient, model: str, state: str = "ready") -> None:
    async with asyncio.timeout(10):
        while (await client.get(f"/v1/models/{model}")).json().get("state") != state:
            pass


async def test_its_models_are_listed_and_used_with_its_own_key(
    server: ModelServer, other: ModelServer
) -> None:
    async with running(with_external(server, other), KEYS) as url, client_of(url) as client:
        listed = (await client.get("/v1/models")).json()["data"]
        assert [(one["id"], one["external"], one["owned_by"]) for one in listed] == [
            ("m", False, "llm-stack"),
            (NAME, True, "github-models"),
        ]
        assert listed[1]["description"] == "GitHub Models: the conversation leaves this machine"
        response = await client.post(
            "/v1/chat/completions", json=QUESTION, headers={"authorization": "Bearer sk-mine"}
        )
        assert response.status_code == 200
        assert other.received[0].path == "/inference/chat/completions"
        assert other.received[0].headers["authorization"] == f"Bearer {KEY}"
        assert other.received[0].body["model"] == NAME
        assert "sk-mine" not in str(other.received[0].headers)


async def test_a_server_without_a_key_gets_none(server: ModelServer, other: ModelServer) -> None:
    configured = with_external(server, other, api_key_file=None)
    async with running(configured) as url, client_of(url) as client:
        headers = {"authorization": "Bearer sk-mine"}
        await client.post("/v1/chat/completions", json=QUESTION, headers=headers)
    assert "authorization" not in other.received[0].headers


async def test_configured_models_without_a_health_path_are_not_checked(
    server: ModelServer, other: ModelServer
) -> None:
    async with running(with_external(server, other), KEYS) as url, client_of(url) as client:
        await ready(client, "m")
        await ready(client, NAME)
    assert not other.list_requests
    assert not other.health_requests


async def test_lists_and_health_checks_have_the_key_too(
    server: ModelServer, other: ModelServer
) -> None:
    other.listing = (200, listing(NAME))
    configured = with_external(server, other, models=None, health="/health")
    async with running(configured, KEYS) as url, client_of(url) as client:
        await ready(client, NAME)
    for headers in (other.list_requests[0], other.health_requests[0]):
        assert headers["authorization"] == f"Bearer {KEY}"


async def test_auto_never_leaves_the_stack(server: ModelServer, other: ModelServer) -> None:
    question = {**QUESTION, "model": "auto"}
    async with running(with_external(server, other), KEYS) as url, client_of(url) as client:
        await ready(client, "m")
        local = await client.post("/v1/chat/completions", json=question)
        assert local.headers["x-routed-model"] == "m"
        await server.stop()
        await ready(client, "m", "down")
        refused = await client.post("/v1/chat/completions", json=question)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "model_down"
    assert not other.received


async def test_auto_without_a_local_model_is_refused(
    server: ModelServer, other: ModelServer
) -> None:
    configured = with_external(server, other).model_copy(update={"models": ()})
    async with running(configured, KEYS) as url, client_of(url) as client:
        refused = await client.post("/v1/chat/completions", json={**QUESTION, "model": "auto"})
        assert refused.json()["error"]["code"] == "no_model"
    assert not other.received


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("keys", [KEYS, None], ids=["with a key", "without a key"])
async def test_a_rejected_key_is_an_error_of_the_upstream_not_of_the_client(
    server: ModelServer, other: ModelServer, status: int, keys: Secrets | None
) -> None:
    other.behaviour = refuse(status, {"message": f"Bad credentials {KEY}"})
    file = "upstream-github-models" if keys else None
    configured = with_external(server, other, api_key_file=file)
    async with running(configured, keys) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=QUESTION)
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_auth"
        assert KEY not in response.text


async def test_a_key_that_the_health_check_rejects_is_the_reason_of_the_state(
    server: ModelServer, other: ModelServer
) -> None:
    other.health = (401, {})
    configured = with_external(server, other, health="/health")
    async with running(configured, KEYS) as url, client_of(url) as client:
        await ready(client, NAME, "down")
        model = (await client.get(f"/v1/models/{NAME}")).json()
        assert model["reason"] == "it rejected the gateway's API key (status 401)"


async def test_its_rate_limit_reaches_the_client_with_retry_after(
    server: ModelServer, other: ModelServer
) -> None:
    other.behaviour = refuse(429, {"message": "slow down"}, **{"retry-after": "42"})
    async with running(with_external(server, other), KEYS) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=QUESTION)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "42"


async def test_the_log_does_not_show_the_key(
    server: ModelServer, other: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    other.listing = (401, b"")
    configured = with_external(server, other, models=None)
    async with running(configured, KEYS) as url, client_of(url) as client:
        while not other.list_requests:
            await client.get("/v1/models")
        await client.post("/v1/chat/completions", json=QUESTION)
        shown = [(await client.get(path)).text for path in ("/v1/models", "/status", "/metrics")]
    lines = [JsonLines().format(record) for record in caplog.records]
    assert lines
    assert KEY not in "\n".join([*lines, *shown])
