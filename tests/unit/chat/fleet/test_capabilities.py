"""What models can do: read from `/props`, shown to clients, and required by requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from app.chat.fleet.capabilities import UNKNOWN, Capabilities, read_capabilities
from tests.doubles.model_server import ModelServer, router_listing
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ANTHROPIC_TOOL = {"name": "f", "input_schema": {"type": "object"}}


def props(*, tools: bool = False, vision: bool = False, audio: bool = False) -> dict[str, Any]:
    """A part of what llama-server reports under `/props`."""
    return {
        "default_generation_settings": {"params": {}, "n_ctx": 4096},
        "modalities": {"vision": vision, "video": False, "audio": audio},
        "chat_template": "{% if enable_thinking %}{% endif %}" if tools else "{{ messages }}",
        "chat_template_caps": {"supports_tools": tools, "supports_tool_calls": tools},
        "is_sleeping": False,
    }


def user(*parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


async def listed(client: httpx.AsyncClient, model: str = "m") -> dict[str, Any]:
    """The entry of a model, once its capabilities are known."""
    while True:
        entry: dict[str, Any] = (await client.get(f"/v1/models/{model}")).json()
        if entry["capabilities"]["vision"] is not None:
            return entry


async def test_capabilities_and_context_are_listed(server: ModelServer) -> None:
    server.props = props(tools=True, vision=True)
    async with running(settings(server.url)) as url, client_of(url) as client:
        entry = await listed(client)
        assert entry["context"] == 4096
        assert entry["capabilities"] == {
            "tools": True,
            "vision": True,
            "audio": False,
            "video": False,
            "thinking": True,
            "embeddings": False,
            "rerank": False,
        }
        status = (await client.get("/status")).json()["models"][0]
        assert status["capabilities"] == entry["capabilities"]


async def test_they_are_read_once_until_the_server_was_down(server: ModelServer) -> None:
    server.props = props()
    health = {"interval": 0.01, "interval_when_down": 0.01, "failures": 1}
    async with running(settings(server.url, health=health)) as url, client_of(url) as client:
        assert (await listed(client))["capabilities"]["tools"] is False
        while server.paths.count("/health") < 10:
            await client.get("/health")
        assert server.paths.count("/props") == 1
        server.health = (500, {})
        while (await client.get("/ready")).status_code == 200:
            pass
        server.props = props(tools=True)
        server.health = (200, {"status": "ok"})
        while (await listed(client))["capabilities"]["tools"] is not True:
            pass
        assert server.paths.count("/props") == 2


@pytest.mark.parametrize(
    ("path", "body", "missing"),
    [
        ("/v1/chat/completions", {"messages": user(IMAGE)}, "cannot read images"),
        ("/v1/chat/completions", {"messages": user(AUDIO)}, "cannot read audio"),
        (
            "/v1/chat/completions",
            {"messages": user(), "tools": [TOOL], "tool_choice": "required"},
            "cannot be forced to call a tool",
        ),
        (
            "/v1/chat/completions",
            {
                "messages": user(),
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
            },
            "cannot be forced to call a tool",
        ),
        (
            "/v1/responses",
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "data:image/png,AA"}],
                    }
                ]
            },
            "cannot read images",
        ),
        (
            "/v1/messages",
            {
                "max_tokens": 5,
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "1",
                                "content": [{"type": "image", "source": {"type": "base64"}}],
                            }
                        ],
                    }
                ],
            },
            "cannot read images",
        ),
        (
            "/v1/messages",
            {
                "max_tokens": 5,
                "messages": user(),
                "tools": [ANTHROPIC_TOOL],
                "tool_choice": {"type": "any"},
            },
            "cannot be forced to call a tool",
        ),
    ],
)
@pytest.mark.parametrize("model", ["m", "auto"])
async def test_a_request_that_needs_what_the_model_lacks_is_refused(
    server: ModelServer, path: str, body: dict[str, Any], missing: str, model: str
) -> None:
    server.props = props()
    async with running(settings(server.url)) as url, client_of(url) as client:
        await listed(client)
        response = await client.post(path, json={"model": model, **body})
        assert response.status_code == 400, response.text
        assert missing in response.json()["error"]["message"]
        assert not server.received


@pytest.mark.parametrize(
    "body",
    [
        {"messages": user(IMAGE, AUDIO)},
        {"messages": user(), "tools": [TOOL], "tool_choice": "required"},
    ],
)
@pytest.mark.parametrize("able", [True, None])
async def test_it_passes_if_the_model_can_or_nothing_is_known(
    server: ModelServer, body: dict[str, Any], able: bool | None
) -> None:
    server.props = props(tools=True, vision=True, audio=True) if able else {}
    async with running(settings(server.url)) as url, client_of(url) as client:
        if able:
            await listed(client)
        else:
            while "/props" not in server.paths:
                await client.get("/health")
        response = await client.post("/v1/chat/completions", json={"model": "m", **body})
        assert response.status_code == 200


async def test_tools_that_the_model_may_leave_out_pass(server: ModelServer) -> None:
    server.props = props()
    async with running(settings(server.url)) as url, client_of(url) as client:
        await listed(client)
        for choice in ("auto", "none", None):
            body = {"messages": user(), "tools": [TOOL], "tool_choice": choice}
            response = await client.post("/v1/chat/completions", json={"model": "m", **body})
            assert response.status_code == 200


async def test_auto_chooses_a_model_that_can_and_an_error_names_it(
    server: ModelServer, other: ModelServer
) -> None:
    server.props, other.props = props(), props(vision=True)
    models = [
        {"id": "text", "replicas": [server.url]},
        {"id": "sees", "replicas": [other.url]},
    ]
    async with running(settings(models=models)) as url, client_of(url) as client:
        await listed(client, "text")
        await listed(client, "sees")
        body = {"messages": user(IMAGE)}
        for _ in range(3):
            response = await client.post("/v1/chat/completions", json={"model": "auto", **body})
            assert response.headers["x-routed-model"] == "sees"
        refused = await client.post("/v1/chat/completions", json={"model": "text", **body})
        message = refused.json()["error"]["message"]
        assert message == "the model 'text' cannot read images; models that can: sees"
        assert refused.json()["error"]["code"] == "capability_missing"


async def test_a_router_is_asked_for_models_in_memory_only_and_loads_none(
    server: ModelServer,
) -> None:
    server.props = props(tools=True)
    server.listing = (200, router_listing(a="loaded", b="unloaded"))
    router = {
        "name": "r",
        "urls": [server.url],
        "max_loaded": 1,
        "models": [{"id": "a"}, {"id": "b"}],
    }
    async with running(settings(routers=[router])) as url, client_of(url) as client:
        assert (await listed(client, "a"))["capabilities"]["tools"] is True
        asleep = (await client.get("/v1/models/b")).json()
    assert asleep["capabilities"]["tools"] is None
    assert set(server.props_queries) == {"model=a&autoload=false"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"modalities": [1], "chat_template_caps": "x", "chat_template": 7}',
        b'{"default_generation_settings": {"n_ctx": true}}',
        b'{"default_generation_settings": {"n_ctx": -1}, "modalities": {"vision": "yes"}}',
        b"[" * 100_000,
    ],
)
def test_props_of_another_form_say_nothing(content: bytes) -> None:
    assert read_capabilities(content) == UNKNOWN


def test_the_form_of_llama_server_is_read() -> None:
    found = read_capabilities(json.dumps(props(vision=True)).encode())
    assert found == Capabilities(
        tools=False, vision=True, audio=False, video=False, thinking=False, context=4096
    )
