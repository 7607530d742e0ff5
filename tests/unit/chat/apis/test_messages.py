"""What the gateway changes in requests of Anthropic's clients, because llama-server ignores it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.doubles.api_answers import MESSAGE, MESSAGE_EVENTS, answering
from tests.doubles.model_server import ModelServer

HI = [{"role": "user", "content": "Hi"}]
LOOK = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
FIND = {"name": "find", "input_schema": {"type": "object", "properties": {}}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
# As Claude Code sends it: blocks with cache control, tools, earlier calls, options of betas.
CLAUDE_CODE: dict[str, Any] = {
    "model": "m",
    "max_tokens": 32000,
    "stream": True,
    "temperature": 1,
    "metadata": {"user_id": "user_1_account__session_2"},
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "medium"},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=a5145;"},
        {
            "type": "text",
            "text": "You are a coding agent.",
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
    ],
    "tools": [
        {
            "name": "Bash",
            "description": "Runs a command",
            "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"command": {"type": "string"}},
                "required": ["command"],
                "additionalProperties": False,
            },
        }
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>Be brief</system-reminder>"},
                {"type": "text", "text": "List", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "A command.", "signature": ""},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "a"}],
                    "is_error": False,
                },
            ],
        },
    ],
}


async def sent(gateway: httpx.AsyncClient, server: ModelServer, **body: Any) -> dict[str, Any]:
    """The body that the model server gets."""
    server.behaviour = answering(MESSAGE, MESSAGE_EVENTS)
    request = {"model": "m", "messages": HI, "max_tokens": 9, **body}
    response = await gateway.post("/v1/messages?beta=true", json=request)
    assert response.status_code == 200, response.text
    return server.received[-1].body


async def test_a_request_of_claude_code_passes_unchanged(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    assert await sent(gateway, server, **CLAUDE_CODE) == CLAUDE_CODE


async def test_a_forced_tool_is_the_only_one(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    choice = {"type": "tool", "name": "find"}
    body = await sent(gateway, server, tools=[LOOK, FIND], tool_choice=choice)
    assert body["tools"] == [FIND]
    assert body["tool_choice"] == choice


async def test_without_a_choice_there_are_no_tools(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    body = await sent(gateway, server, tools=[LOOK], tool_choice={"type": "none"})
    assert not body.keys() & {"tools", "tool_choice"}


async def test_tools_of_anthropics_servers_are_left_out(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    assert (await sent(gateway, server, tools=[SEARCH, LOOK]))["tools"] == [LOOK]


async def test_disabled_thinking_reaches_the_template(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    body = await sent(gateway, server, thinking={"type": "disabled"})
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "output_config"),
        ({"output_format": {"type": "json_schema", "schema": {}}}, "output_format"),
        ({"tools": [LOOK], "tool_choice": {"type": "tool", "name": "gone"}}, "tool_choice"),
    ],
)
async def test_what_no_model_server_can_do_is_refused(
    gateway: httpx.AsyncClient, server: ModelServer, body: dict[str, Any], param: str
) -> None:
    request = {"model": "m", "messages": HI, "max_tokens": 9, **body}
    response = await gateway.post("/v1/messages", json=request)
    assert response.status_code == 400
    assert f"'{param}" in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert not server.received
