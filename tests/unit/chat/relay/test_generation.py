"""Successful requests: every field and byte reaches the other side."""

from __future__ import annotations

import json

import httpx
from aiohttp import web

from tests.doubles.model_server import HELLO, TIMINGS, USAGE, ModelServer, ReceivedRequest, chunk

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_stream_reaches_the_client_byte_for_byte(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    response = await gateway.post("/v1/chat/completions", json={**QUESTION, "stream": True})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-routed-model"] == "m"
    assert response.content == b"".join(HELLO)


async def test_chunks_arrive_as_they_are_generated(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    async def one_then_wait(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(HELLO[0])
        await received.abandoned.wait()
        return response

    server.behaviour = one_then_wait
    request = {**QUESTION, "stream": True}
    async with gateway.stream("POST", "/v1/chat/completions", json=request) as response:
        async for piece in response.aiter_bytes():
            assert piece == HELLO[0], "the first chunk arrives before the response is complete"
            break


async def test_a_document_is_assembled_from_the_stream(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    answer = (await gateway.post("/v1/chat/completions", json=QUESTION)).json()
    assert answer["object"] == "chat.completion"
    choice = answer["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello"}
    assert choice["finish_reason"] == "stop"
    assert answer["usage"] == USAGE
    assert answer["timings"] == TIMINGS, "fields beyond OpenAI's are kept"
    assert server.received[0].body["stream"] is True
    assert server.received[0].body["stream_options"] == {"include_usage": True}


async def test_unknown_fields_reach_the_model_server_unchanged(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    extra = {
        "grammar": 'root ::= "yes"',
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "logprobs": True,
        "timings_per_token": True,
        "cache_prompt": False,
    }
    await gateway.post("/v1/chat/completions", json={**QUESTION, **extra, "stream": True})
    assert server.received[0].body == {**QUESTION, **extra, "stream": True}
    assert server.received[0].path == "/v1/chat/completions"


async def test_the_clients_headers_are_not_forwarded(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    private = {"authorization": "Bearer sk-x", "cookie": "a=b", "x-conversation-id": "1"}
    await gateway.post("/v1/chat/completions", json=QUESTION, headers=private)
    assert not server.received[0].headers.keys() & private.keys()


async def test_tool_calls_are_assembled_by_their_index(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    def call(index: int, arguments: str, **first: object) -> bytes:
        function = {"arguments": arguments, **({"name": "look"} if first else {})}
        return chunk({"tool_calls": [{"index": index, "function": function, **first}]})

    async def use_tools(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(call(0, "", id="a", type="function") + call(0, '{"city":'))
        await response.write(call(0, '"Rome"}') + call(1, "{}", id="b", type="function"))
        await response.write(chunk({}, "tool_calls") + b"data: [DONE]\n\n")
        return response

    server.behaviour = use_tools
    answer = (await gateway.post("/v1/chat/completions", json=QUESTION)).json()
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert [call["id"] for call in message["tool_calls"]] == ["a", "b"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"city": "Rome"}
    assert message["tool_calls"][0]["function"]["name"] == "look"


async def test_reasoning_and_logprobs_are_joined(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    async def think(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        for text in ("a", "b"):
            payload = json.loads(chunk({"reasoning_content": text, "content": text})[6:])
            payload["choices"][0]["logprobs"] = {"content": [{"token": text}]}
            await response.write(b"data: " + json.dumps(payload).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    server.behaviour = think
    choice = (await gateway.post("/v1/chat/completions", json=QUESTION)).json()["choices"][0]
    assert choice["message"]["reasoning_content"] == "ab"
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}


async def test_plain_completions_are_relayed_too(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    async def continue_text(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        for text, finish in (("one ", None), ("two", "stop")):
            choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
            payload = {"id": "c", "object": "text_completion", "choices": [choice]}
            await response.write(b"data: " + json.dumps(payload).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    server.behaviour = continue_text
    answer = (await gateway.post("/v1/completions", json={"model": "m", "prompt": "x"})).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"] == "one two"
    assert server.received[0].path == "/v1/completions"


async def test_an_event_in_several_packets_is_passed_on_complete(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    async def dribble(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        everything = b"".join(HELLO)
        for start in range(0, len(everything), 11):
            await response.write(everything[start : start + 11])
        return response

    server.behaviour = dribble
    request = {**QUESTION, "stream": True}
    async with gateway.stream("POST", "/v1/chat/completions", json=request) as response:
        pieces = [piece async for piece in response.aiter_raw()]
    assert b"".join(pieces) == b"".join(HELLO)


async def test_auto_reports_the_chosen_model_to_the_server_and_the_client(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    response = await gateway.post("/v1/chat/completions", json={**QUESTION, "model": "auto"})
    assert response.status_code == 200
    assert response.headers["x-routed-model"] == "m"
    assert server.received[0].body["model"] == "m"


async def test_a_function_that_is_forced_by_name_is_the_only_one(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    look, find = (
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("look", "find")
    )
    choice = {"type": "function", "function": {"name": "find"}}
    body = {**QUESTION, "stream": True, "tools": [look, find], "tool_choice": choice}
    assert (await gateway.post("/v1/chat/completions", json=body)).status_code == 200
    sent = server.received[0].body
    assert (sent["tools"], sent["tool_choice"]) == ([find], "required")
    refused = await gateway.post("/v1/chat/completions", json={**body, "tools": [look]})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "tool_choice"
