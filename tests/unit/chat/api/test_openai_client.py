"""The unmodified `openai` package as a client of the gateway."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator

import openai
import pytest
from aiohttp import web
from openai import AsyncOpenAI
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)

from app.chat.access.keys import new_key
from app.chat.settings import KeyFile, Secrets
from tests.doubles.model_server import (
    HELLO,
    HeldResponses,
    ModelServer,
    ReceivedRequest,
    chunk,
    refuse,
)
from tests.doubles.running_gateway import running, settings

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
LOOK: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[AsyncOpenAI]:
    async with (
        running(settings(server.url, tasks=("chat", "completion", "embedding"))) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as one,
    ):
        yield one


async def test_a_stream_yields_its_deltas(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
    deltas = [part.choices[0].delta.content or "" async for part in stream]
    assert "".join(deltas) == "Hello"


async def test_comments_do_not_disturb_the_client(server: ModelServer) -> None:
    gate = asyncio.Event()

    async def late(received: ReceivedRequest) -> web.StreamResponse:
        await gate.wait()
        response = await received.stream()
        await response.write(b"".join(HELLO))
        return response

    server.behaviour = late
    keep_alive = {"first_comment": 0.02, "interval": 0.02}
    async with (
        running(settings(server.url, keep_alive=keep_alive)) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        gate.set()
        deltas = [part.choices[0].delta.content or "" async for part in stream]
    assert "".join(deltas) == "Hello"


async def test_white_space_before_a_document_does_not_disturb_the_client(
    server: ModelServer,
) -> None:
    async def late(received: ReceivedRequest) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        response = await received.stream()
        await response.write(b"".join(HELLO))
        return response

    server.behaviour = late
    keep_alive = {"first_space": 0.01, "interval": 0.01}
    async with (
        running(settings(server.url, keep_alive=keep_alive)) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        answer = await client.chat.completions.create(model="m", messages=HI)
    assert answer.choices[0].message.content == "Hello"


async def test_a_document_has_text_and_usage(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="m", messages=HI)
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 9


@pytest.mark.parametrize("streams", [True, False])
async def test_tools_are_called(client: AsyncOpenAI, server: ModelServer, streams: bool) -> None:
    async def use_tools(received: ReceivedRequest) -> web.StreamResponse:
        assert received.body["tools"] == [LOOK]
        assert received.body["tool_choice"] == "required"
        start = {"index": 0, "id": "a", "type": "function"}
        response = await received.stream()
        first = {**start, "function": {"name": "look", "arguments": ""}}
        await response.write(chunk({"role": "assistant", "tool_calls": [first]}))
        for part in ('{"at":', '"sea"}'):
            piece = {"index": 0, "function": {"arguments": part}}
            await response.write(chunk({"tool_calls": [piece]}))
        await response.write(chunk({}, "tool_calls") + b"data: [DONE]\n\n")
        return response

    server.behaviour = use_tools
    if streams:
        async with client.chat.completions.stream(
            model="m", messages=HI, tools=[LOOK], tool_choice="required"
        ) as stream:
            answer: ChatCompletion = await stream.get_final_completion()
    else:
        answer = await client.chat.completions.create(
            model="m", messages=HI, tools=[LOOK], tool_choice="required"
        )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "look"
    assert json.loads(call.function.arguments) == {"at": "sea"}
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_a_json_schema_and_extra_fields_reach_the_model_server(
    client: AsyncOpenAI, server: ModelServer
) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await client.chat.completions.create(
        model="m",
        messages=HI,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        logprobs=True,
        extra_body={"grammar": "root ::= [0-9]", "id_slot": 1},
    )
    body = server.received[0].body
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert body["logprobs"] is True
    assert (body["grammar"], body["id_slot"]) == ("root ::= [0-9]", 1)


async def test_plain_completions(client: AsyncOpenAI, server: ModelServer) -> None:
    async def continue_text(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        choice = {"index": 0, "text": "sea", "finish_reason": "stop", "logprobs": None}
        top = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
        event = json.dumps({**top, "choices": [choice]})
        await response.write(f"data: {event}\n\ndata: [DONE]\n\n".encode())
        return response

    server.behaviour = continue_text
    whole = await client.completions.create(model="m", prompt="the ")
    assert whole.choices[0].text == "sea"
    stream = await client.completions.create(model="m", prompt="the ", stream=True)
    assert [part.choices[0].text async for part in stream] == ["sea"]


async def test_embeddings(client: AsyncOpenAI, server: ModelServer) -> None:
    async def embed(received: ReceivedRequest) -> web.StreamResponse:
        # The default of the package.
        assert received.body["encoding_format"] == "base64"
        packed = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
        data = [{"object": "embedding", "index": 0, "embedding": packed}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return web.json_response({"object": "list", "data": data, "model": "m", "usage": usage})

    server.behaviour = embed
    answer = await client.embeddings.create(model="m", input="x")
    assert list(answer.data[0].embedding) == [0.5, -1.0]


async def test_models_are_listed_and_found(client: AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    assert listed == ["m"]
    assert (await client.models.retrieve("m")).id == "m"


async def test_errors_become_the_packages_own_exceptions(
    client: AsyncOpenAI, server: ModelServer
) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="nope", messages=HI)
    assert unknown.value.code == "model_not_found"
    assert unknown.value.param == "model"
    assert unknown.value.request_id
    server.behaviour = refuse(400, {"message": "bad grammar", "type": "invalid_request_error"})
    with pytest.raises(openai.BadRequestError, match="bad grammar"):
        await client.chat.completions.create(model="m", messages=HI, stream=True)
    server.behaviour = refuse(500, "x")
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="m", messages=HI)


async def test_a_lost_stream_raises_an_exception(client: AsyncOpenAI, server: ModelServer) -> None:
    async def cut_late(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(HELLO[0] + HELLO[1])
        await asyncio.sleep(0.02)
        received.cut()
        raise ConnectionResetError

    server.behaviour = cut_late
    stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
    texts = []

    async def read() -> None:
        async for part in stream:
            texts.append(part.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="closed the connection before the end"):
        await read()
    assert "".join(texts) == "Hel"


async def test_a_timeout_of_the_client_stops_the_generation(
    client: AsyncOpenAI, server: ModelServer
) -> None:
    async def never(received: ReceivedRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.behaviour = never
    asking = asyncio.create_task(client.chat.completions.create(model="m", messages=HI, timeout=2))
    received = await server.wait_for(1)
    with pytest.raises(openai.APITimeoutError):
        await asking
    await asyncio.wait_for(received.abandoned.wait(), 5)


async def test_a_full_queue_is_a_rate_limit_error(server: ModelServer) -> None:
    server.behaviour = held = HeldResponses()
    configuration = settings(server.url, slots=1, limits={"queue": 0})
    async with (
        running(configuration) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        first = asyncio.create_task(client.chat.completions.create(model="m", messages=HI))
        await server.wait_for(1)
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(model="m", messages=HI)
        assert refused.value.code == "queue_full"
        held.released.set()
        assert (await first).choices[0].message.content == "Hello"


async def test_a_key_is_sent_and_a_wrong_one_is_an_authentication_error(
    server: ModelServer,
) -> None:
    key, record = new_key("alice")
    secrets = Secrets(api_keys=KeyFile(keys=(record,)))
    async with running(settings(server.url), secrets) as url:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key) as known:
            answer = await known.chat.completions.create(model="m", messages=HI)
            assert answer.choices[0].message.content == "Hello"
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-wrong") as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.models.list()
