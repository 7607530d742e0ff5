"""The gateway in front of a real llama-server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.integration.inference import slots_are_busy, tokens_predicted

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say something."}]
LONG = 1500


@pytest.fixture
async def client(gateway: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gateway}/v1", api_key="x", max_retries=0) as one:
        yield one


@pytest.mark.parametrize("streams", [True, False])
async def test_a_disconnect_frees_the_slot_long_before_the_answer_would_end(
    gateway: str, llama_server: str, streams: bool
) -> None:
    before = await tokens_predicted(llama_server)
    body = {"model": "m", "messages": HI, "stream": streams, "max_tokens": LONG}
    async with httpx.AsyncClient(timeout=60) as client:
        request = asyncio.create_task(
            client.post(f"{gateway}/v1/chat/completions", json={**body, "ignore_eos": True})
        )
        await slots_are_busy(llama_server, True)
        request.cancel()
        await slots_are_busy(llama_server, False)
    assert await tokens_predicted(llama_server) - before < LONG


async def test_streamed_and_other_answers_are_equal(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(
        model="m", messages=HI, temperature=0, seed=1, max_tokens=12, logprobs=True
    )
    stream = await client.chat.completions.create(
        model="m", messages=HI, temperature=0, seed=1, max_tokens=12, stream=True
    )
    pieces = [part.choices[0].delta.content or "" async for part in stream if part.choices]
    assert whole.choices[0].message.content == "".join(pieces) != ""
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0
    assert whole.choices[0].logprobs is not None
    assert whole.model_extra is not None
    assert whole.model_extra["timings"]["predicted_n"] == whole.usage.completion_tokens


async def test_an_answer_follows_a_json_schema(client: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    answer = await client.chat.completions.create(
        model="m",
        messages=HI,
        max_tokens=60,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": {**schema, "additionalProperties": False}},
        },
    )
    assert isinstance(json.loads(answer.choices[0].message.content or "")["yes"], bool)


async def test_a_prompt_that_is_too_long_is_a_client_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "sea " * 5000}], stream=True
        )
    assert refused.value.code == "context_length_exceeded"
