"""The unmodified `anthropic` package as a client of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from aiohttp import web
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, ToolParam

from app.chat.access.keys import new_key
from app.chat.settings import KeyFile, Secrets
from tests.doubles.api_answers import MESSAGE, MESSAGE_EVENTS, answering, named_event
from tests.doubles.model_server import HeldResponses, ModelServer, ReceivedRequest, refuse
from tests.doubles.running_gateway import running, settings

HI: list[MessageParam] = [{"role": "user", "content": "Hi"}]
LOOK: ToolParam = {"name": "look", "input_schema": {"type": "object", "properties": {}}}


def client_of(url: str, **options: Any) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=url, max_retries=0, **{"api_key": "unused", **options})


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[AsyncAnthropic]:
    server.behaviour = answering(MESSAGE, MESSAGE_EVENTS)
    async with running(settings(server.url)) as url, client_of(url) as one:
        yield one


async def test_a_message(client: AsyncAnthropic) -> None:
    message = await client.messages.create(model="m", messages=HI, max_tokens=9)
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "Hello"
    assert message.usage.output_tokens == 2
    assert message._request_id


async def test_a_stream(client: AsyncAnthropic) -> None:
    async with client.messages.stream(model="m", messages=HI, max_tokens=9) as stream:
        texts = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert texts == ["Hel", "lo"]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 2)


async def test_pings_do_not_disturb_the_client(server: ModelServer) -> None:
    async def late(received: ReceivedRequest) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return await answering(MESSAGE, MESSAGE_EVENTS)(received)

    server.behaviour = late
    keep_alive = {"first_comment": 0.01, "first_space": 0.01, "interval": 0.01}
    async with (
        running(settings(server.url, keep_alive=keep_alive)) as url,
        client_of(url) as client,
    ):
        async with client.messages.stream(model="m", messages=HI, max_tokens=9) as stream:
            assert await stream.get_final_text() == "Hello"
        whole = await client.messages.create(model="m", messages=HI, max_tokens=9)
    assert whole.content[0].type == "text"


async def test_tools_are_called(client: AsyncAnthropic, server: ModelServer) -> None:
    start = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    parts = ('{"at":', '"sea"}')
    server.behaviour = answering(
        {},
        [
            MESSAGE_EVENTS[0],
            named_event({"type": "content_block_start", "index": 0, "content_block": start}),
            *(
                named_event(
                    {
                        "type": "content_block_delta",
                        "index": 0,
                        "delta": {"type": "input_json_delta", "partial_json": part},
                    }
                )
                for part in parts
            ),
            *MESSAGE_EVENTS[-3:],
        ],
    )
    async with client.messages.stream(
        model="m", messages=HI, max_tokens=9, tools=[LOOK], tool_choice={"type": "any"}
    ) as stream:
        message = await stream.get_final_message()
    (call,) = message.content
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("look", {"at": "sea"})
    assert server.received[0].body["tools"] == [LOOK]


async def test_tokens_are_counted(client: AsyncAnthropic, server: ModelServer) -> None:
    server.behaviour = answering({"input_tokens": 31})
    counted = await client.messages.count_tokens(model="m", messages=HI)
    assert counted.input_tokens == 31
    assert server.received[0].path == "/v1/messages/count_tokens"


async def test_errors_become_the_packages_own_exceptions(
    client: AsyncAnthropic, server: ModelServer
) -> None:
    with pytest.raises(anthropic.NotFoundError, match="available: m") as unknown:
        await client.messages.create(model="claude-nope", messages=HI, max_tokens=9)
    assert isinstance(unknown.value.body, dict)
    assert unknown.value.body["error"]["type"] == "not_found_error"
    assert unknown.value.request_id == unknown.value.body["request_id"]
    server.behaviour = refuse(400, {"message": "no", "type": "invalid_request_error"})
    with pytest.raises(anthropic.BadRequestError, match="no"):
        await client.messages.create(model="m", messages=HI, max_tokens=9)


async def test_a_conversation_that_is_too_long_has_the_text_that_clients_look_for(
    client: AsyncAnthropic, server: ModelServer
) -> None:
    server.behaviour = refuse(
        400,
        {
            "code": 400,
            "message": "the request exceeds the available context size",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 5031,
            "n_ctx": 2048,
        },
    )
    with pytest.raises(anthropic.BadRequestError, match="too long: 5031 tokens > 2048 maximum"):
        await client.messages.create(model="m", messages=HI, max_tokens=9)


async def test_an_error_in_a_stream_raises_an_exception(
    client: AsyncAnthropic, server: ModelServer
) -> None:
    async def cut_late(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(b"".join(MESSAGE_EVENTS[:3]))
        await asyncio.sleep(0.02)
        received.cut()
        raise ConnectionResetError

    server.behaviour = cut_late
    texts = []

    async def read() -> None:
        async with client.messages.stream(model="m", messages=HI, max_tokens=9) as stream:
            async for text in stream.text_stream:
                texts.append(text)

    with pytest.raises(anthropic.APIStatusError, match="before the end"):
        await read()
    assert texts == ["Hel"]


async def test_the_key_may_be_in_either_header(server: ModelServer) -> None:
    server.behaviour = answering(MESSAGE, MESSAGE_EVENTS)
    key, record = new_key("alice")
    secrets = Secrets(api_keys=KeyFile(keys=(record,)))
    async with running(settings(server.url), secrets) as url:
        for options in ({"api_key": key}, {"api_key": None, "auth_token": key}):
            async with client_of(url, **options) as client:
                await client.messages.create(model="m", messages=HI, max_tokens=9)
        async with client_of(url, api_key="sk-wrong") as client:
            with pytest.raises(anthropic.AuthenticationError) as refused:
                await client.messages.create(model="m", messages=HI, max_tokens=9)
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["error"]["type"] == "authentication_error"
    for received in server.received:
        assert not received.headers.keys() & {"x-api-key", "authorization"}


async def test_a_full_queue_is_a_rate_limit_error(server: ModelServer) -> None:
    held = HeldResponses()
    server.behaviour = held
    async with (
        running(settings(server.url, slots=1, limits={"queue": 0})) as url,
        client_of(url) as client,
    ):
        first = asyncio.create_task(
            client.messages.create(model="m", messages=HI, max_tokens=9),
        )
        await server.wait_for(1)
        with pytest.raises(anthropic.RateLimitError):
            await client.messages.create(model="m", messages=HI, max_tokens=9)
        first.cancel()


async def test_a_body_that_is_too_large_has_anthropics_type(server: ModelServer) -> None:
    async with (
        running(settings(server.url, limits={"body_bytes": 1024})) as url,
        client_of(url) as client,
    ):
        long: list[MessageParam] = [{"role": "user", "content": "x" * 2000}]
        with pytest.raises(anthropic.APIStatusError) as refused:
            await client.messages.create(model="m", messages=long, max_tokens=9)
    assert refused.value.status_code == 413
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["error"]["type"] == "request_too_large"
