"""OpenAI's Responses API: its client, Codex's requests, and what the gateway changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from aiohttp import web
from openai import AsyncOpenAI

from tests.doubles.api_answers import RESPONSE, RESPONSE_EVENTS, answering
from tests.doubles.model_server import ModelServer, ReceivedRequest
from tests.doubles.running_gateway import running, settings

LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
FIND = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
READ = {
    "type": "reasoning",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "A command."}],
    "encrypted_content": "",
}
# As Codex sends it: nothing is stored, so it sends the reasoning, calls and results again.
CODEX: dict[str, Any] = {
    "model": "m",
    "instructions": "You are a coding agent.",
    "stream": True,
    "store": False,
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199-aa",
    "text": {"verbosity": "low"},
    "tools": [
        {
            "type": "function",
            "name": "shell",
            "description": "Runs a command",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"],
            },
        },
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark"}},
        {"type": "local_shell"},
        {"type": "web_search"},
    ],
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "Be brief"}],
        },
        USER,
        READ,
        {
            "type": "function_call",
            "name": "shell",
            "arguments": '{"command":["ls"]}',
            "call_id": "c1",
        },
        {"type": "function_call_output", "call_id": "c1", "output": "a"},
    ],
}


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[AsyncOpenAI]:
    server.behaviour = answering(RESPONSE, RESPONSE_EVENTS)
    async with (
        running(settings(server.url)) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as one,
    ):
        yield one


async def sent(gateway: httpx.AsyncClient, server: ModelServer, **body: Any) -> dict[str, Any]:
    """The body that the model server gets."""
    server.behaviour = answering(RESPONSE, RESPONSE_EVENTS)
    response = await gateway.post("/v1/responses", json={"model": "m", "input": "Hi", **body})
    assert response.status_code == 200, response.text
    return server.received[-1].body


async def test_a_response(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="m", input="Hi")
    assert response.output_text == "Hello"
    assert response.usage is not None
    assert response.usage.total_tokens == 9


async def test_a_stream(client: AsyncOpenAI) -> None:
    texts, types = [], []
    stream = await client.responses.create(model="m", input="Hi", stream=True)
    async for event in stream:
        types.append(event.type)
        if event.type == "response.output_text.delta":
            texts.append(event.delta)
    assert texts == ["Hel", "lo"]
    assert types[-1] == "response.completed"


async def test_a_lost_stream_raises_an_exception(client: AsyncOpenAI, server: ModelServer) -> None:
    async def cut_late(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(b"".join(RESPONSE_EVENTS[:5]))
        await asyncio.sleep(0.02)
        received.cut()
        raise ConnectionResetError

    server.behaviour = cut_late
    stream = await client.responses.create(model="m", input="Hi", stream=True)

    async def read() -> None:
        async for _ in stream:
            pass

    with pytest.raises(openai.APIError, match="closed the connection before the end"):
        await read()


async def test_input_tokens_are_counted(client: AsyncOpenAI, server: ModelServer) -> None:
    server.behaviour = answering({"object": "response.input_tokens", "input_tokens": 31})
    counted = await client.responses.input_tokens.count(model="m", input="Hi")
    assert counted.input_tokens == 31


async def test_a_request_of_codex_passes_unchanged(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    assert await sent(gateway, server, **CODEX) == CODEX


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": []}])
async def test_reasoning_that_nobody_can_read_is_left_out(
    gateway: httpx.AsyncClient, server: ModelServer, content: dict[str, Any]
) -> None:
    opaque = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA", **content}
    body = await sent(gateway, server, input=[USER, opaque, READ, USER])
    assert body["input"] == [USER, READ, USER]


async def test_an_answer_of_the_assistant_may_lack_its_type(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    answer = {"role": "assistant", "content": "Hello"}
    body = await sent(gateway, server, input=[USER, answer, USER])
    assert body["input"] == [USER, {**answer, "type": "message"}, USER]


async def test_a_schema_of_the_text_reaches_the_model_server(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    schema = {"name": "a", "strict": True, "schema": {"type": "object"}}
    body = await sent(gateway, server, text={"format": {"type": "json_schema", **schema}})
    assert body["response_format"] == {"type": "json_schema", "json_schema": schema}


async def test_a_forced_function_is_the_only_one(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    choice = {"type": "function", "name": "find"}
    body = await sent(gateway, server, tools=[LOOK, FIND], tool_choice=choice)
    assert (body["tools"], body["tool_choice"]) == ([FIND], "required")


async def test_null_is_a_field_that_was_not_sent(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    body = await sent(gateway, server, tools=None, instructions=None, previous_response_id=None)
    assert body == {"model": "m", "input": "Hi", "stream": True}


@pytest.mark.parametrize(
    "field",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
    ],
)
async def test_what_needs_stored_responses_is_refused(
    client: AsyncOpenAI, server: ModelServer, field: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError, match="stores no responses") as refused:
        await client.responses.create(model="m", input="Hi", extra_body=field)
    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param == next(iter(field))
    assert not server.received
