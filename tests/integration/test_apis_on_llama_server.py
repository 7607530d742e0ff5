"""Every API of the gateway on a real llama-server, with OpenAI's and Anthropic's own clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam
from openai import AsyncOpenAI

from tests.integration.inference import slots_are_busy, tokens_predicted
from tests.unit.chat.apis.test_messages import CLAUDE_CODE
from tests.unit.chat.apis.test_responses import CODEX

HI: list[MessageParam] = [{"role": "user", "content": "Say something."}]
LONG = 1500
LOOK = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
# What generates text, without a stream.
WHOLE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HI, "tools": [LOOK], "logprobs": True},
    "/v1/responses": {"input": "Say something."},
    "/v1/completions": {"prompt": "Say something."},
}


@pytest.fixture
async def http(gateway: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway, timeout=60) as one:
        yield one


@pytest.fixture
async def openai_client(gateway: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gateway}/v1", api_key="x", max_retries=0) as one:
        yield one


@pytest.fixture
async def claude(gateway: str) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=gateway, api_key="x", max_retries=0) as one:
        yield one


async def tokens_become(http: httpx.AsyncClient, prompt: int, completion: int) -> None:
    """The gateway counts a request after its response has ended."""
    async with asyncio.timeout(10):
        while await tokens(http) != (prompt, completion):
            pass


async def tokens(http: httpx.AsyncClient) -> tuple[int, int]:
    """The tokens of prompts and completions in the gateway's metrics."""
    found = {"prompt": 0, "completion": 0}
    for line in (await http.get("/metrics")).text.splitlines():
        if line.startswith("gateway_tokens_total{"):
            kind = line.split('kind="')[1].split('"')[0]
            found[kind] += int(float(line.rsplit(" ", 1)[1]))
    return found["prompt"], found["completion"]


async def test_responses(openai_client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    whole = await openai_client.responses.create(
        model="m", input="Say something.", max_output_tokens=9, temperature=0
    )
    assert whole.usage is not None
    first = (whole.usage.input_tokens, whole.usage.output_tokens)
    await tokens_become(http, *first)
    stream = await openai_client.responses.create(
        model="m", input="Say something.", max_output_tokens=9, temperature=0, stream=True
    )
    events = [event async for event in stream]
    texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(texts) == whole.output_text != ""
    assert events[-1].type == "response.completed"
    await tokens_become(http, 2 * first[0], 2 * first[1])
    counted = await openai_client.responses.input_tokens.count(model="m", input="Say something.")
    assert counted.input_tokens == first[0]


async def test_messages(claude: AsyncAnthropic, http: httpx.AsyncClient) -> None:
    whole = await claude.messages.create(
        model="m", messages=HI, max_tokens=9, extra_body={"temperature": 0}
    )
    counted = await claude.messages.count_tokens(model="m", messages=HI)
    await tokens_become(http, counted.input_tokens, whole.usage.output_tokens)
    async with claude.messages.stream(
        model="m", messages=HI, max_tokens=9, extra_body={"temperature": 0}
    ) as stream:
        streamed = await stream.get_final_message()
    assert [block.type for block in whole.content] == ["text"]
    assert streamed.content[0].type == whole.content[0].type == "text"
    assert streamed.content[0].text == whole.content[0].text != ""
    await tokens_become(http, 2 * counted.input_tokens, 2 * whole.usage.output_tokens)


async def test_requests_of_codex_and_claude_code(http: httpx.AsyncClient) -> None:
    codex = {**CODEX, "max_output_tokens": 3}
    response = await http.post("/v1/responses", json=codex)
    assert response.status_code == 200, response.text
    assert "event: response.completed\n" in response.text
    opaque = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    items = [*CODEX["input"], opaque, {"role": "assistant", "content": "Hello"}, CODEX["input"][1]]
    response = await http.post("/v1/responses", json={**codex, "input": items})
    assert response.status_code == 200, response.text
    response = await http.post("/v1/messages?beta=true", json={**CLAUDE_CODE, "max_tokens": 3})
    assert response.status_code == 200, response.text
    assert "event: message_stop\n" in response.text


async def test_text_becomes_tokens_and_back(http: httpx.AsyncClient) -> None:
    tokenized = await http.post("/tokenize", json={"content": "the sea"})
    detokenized = await http.post("/detokenize", json={"model": "auto", **tokenized.json()})
    assert detokenized.json()["content"].strip() == "the sea"
    templated = await http.post("/apply-template", json={"messages": HI})
    assert "Say something." in templated.json()["prompt"]


async def test_a_model_without_the_tokens_for_infill_says_so(http: httpx.AsyncClient) -> None:
    body = {"input_prefix": "def f(", "input_suffix": "return 1", "n_predict": 4}
    response = await http.post("/infill", json=body)
    assert 400 <= response.status_code < 502
    assert "Infill is not supported by this model" in response.json()["error"]["message"]


async def test_logprobs_with_tools_need_no_stream(openai_client: AsyncOpenAI) -> None:
    answer = await openai_client.chat.completions.create(
        model="m", max_tokens=3, **WHOLE["/v1/chat/completions"]
    )
    assert answer.choices[0].logprobs is not None
    assert answer.choices[0].logprobs.content


async def test_a_schema_holds_in_the_responses_api(openai_client: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    answer = await openai_client.responses.create(
        model="m",
        input="Say something.",
        max_output_tokens=60,
        text={
            "format": {
                "type": "json_schema",
                "name": "a",
                "schema": {**schema, "additionalProperties": False},
            }
        },
    )
    assert isinstance(json.loads(answer.output_text)["yes"], bool)


async def test_errors_have_the_form_of_the_api(
    openai_client: AsyncOpenAI, claude: AsyncAnthropic
) -> None:
    long = "sea " * 3000
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError):
            await openai_client.responses.create(model="m", input=long, stream=stream)
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long: ") as refused:
            await claude.messages.create(
                model="m",
                messages=[{"role": "user", "content": long}],
                max_tokens=9,
                stream=stream,
            )
        assert isinstance(refused.value.body, dict)
        assert refused.value.body["error"]["type"] == "invalid_request_error"


# Not /v1/messages: llama-server lets nobody set its `ignore_eos`, and the tiny model ends soon.
@pytest.mark.parametrize(
    ("path", "most"),
    [("/v1/responses", "max_output_tokens"), ("/v1/completions", "max_tokens")],
)
async def test_a_disconnect_ends_a_generation_that_is_not_streamed(
    http: httpx.AsyncClient, llama_server: str, path: str, most: str
) -> None:
    before = await tokens_predicted(llama_server)
    body = {"model": "m", **WHOLE[path], most: LONG, "ignore_eos": True}
    request = asyncio.create_task(http.post(path, json=body))
    await slots_are_busy(llama_server, True)
    request.cancel()
    await slots_are_busy(llama_server, False)
    assert await tokens_predicted(llama_server) - before < LONG
