"""Each API of the table is relayed, kept alive, cancelled and counted in the same way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiohttp import web

from app.chat.apis.api import Api
from app.chat.apis.table import API_OF_PATH, APIS
from app.chat.settings import GatewaySettings, ModelTask
from tests.doubles.api_answers import (
    INFILL,
    INFILL_EVENTS,
    MESSAGE,
    MESSAGE_EVENTS,
    RESPONSE,
    RESPONSE_EVENTS,
    TRANSCRIPT,
    TRANSCRIPT_EVENTS,
    answering,
)
from tests.doubles.model_server import HELLO, TIMINGS, USAGE, ModelServer, ReceivedRequest
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

MESSAGES = [{"role": "user", "content": "Hi"}]
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CHAT = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}}],
    "usage": USAGE,
    "timings": TIMINGS,
}
VECTORS = {"data": [{"embedding": [0.5], "index": 0}], "usage": {"prompt_tokens": 7}}


@dataclass(frozen=True)
class Call:
    """A request to an API that generates text, and how the model server answers it."""

    body: dict[str, Any]
    upstream: str
    document: dict[str, Any] = field(default_factory=dict)
    events: Sequence[bytes] = ()
    prompt: int = 0
    completion: int = 0
    file: tuple[str, bytes, str] | None = None

    def request(self, **more: object) -> dict[str, Any]:
        """The arguments for httpx: a JSON body, or a form if there is a file."""
        body = {**self.body, **more}
        if self.file is None:
            return {"json": body}
        return {"data": body, "files": {"file": self.file}}

    def received(self, **more: object) -> dict[str, Any]:
        """What the model server receives."""
        if self.file is None:
            return {**self.body, **more}
        name, content, type_ = self.file
        return {**self.body, **more, "file": (name, type_, content)}


CALLS = {
    "/v1/chat/completions": Call(
        {"messages": MESSAGES, "logprobs": True, "tools": [LOOK]},
        "/v1/chat/completions",
        CHAT,
        HELLO,
        7,
        2,
    ),
    "/v1/completions": Call({"prompt": "Hi"}, "/v1/completions", {}, HELLO, 7, 2),
    "/v1/responses": Call({"input": "Hi"}, "/v1/responses", RESPONSE, RESPONSE_EVENTS, 7, 2),
    "/v1/messages": Call(
        {"messages": MESSAGES, "max_tokens": 9}, "/v1/messages", MESSAGE, MESSAGE_EVENTS, 7, 2
    ),
    "/infill": Call(
        {"input_prefix": "a", "input_suffix": "b"}, "/infill", INFILL, INFILL_EVENTS, 7, 2
    ),
    "/v1/chat/completions/input_tokens": Call(
        {"messages": MESSAGES}, "/v1/chat/completions/input_tokens", {"input_tokens": 7}
    ),
    "/v1/responses/input_tokens": Call(
        {"input": "Hi"}, "/v1/responses/input_tokens", {"input_tokens": 7}
    ),
    "/v1/messages/count_tokens": Call(
        {"messages": MESSAGES}, "/v1/messages/count_tokens", {"input_tokens": 7}
    ),
    "/v1/embeddings": Call({"input": "Hi"}, "/v1/embeddings", VECTORS, (), 7),
    "/v1/rerank": Call(
        {"query": "Hi", "documents": ["a"]},
        "/v1/rerank",
        {"results": [], "usage": {"prompt_tokens": 7}},
        (),
        7,
    ),
    "/v1/audio/transcriptions": Call(
        {"prompt": "Hi", "language": "en"},
        "/v1/audio/transcriptions",
        TRANSCRIPT,
        TRANSCRIPT_EVENTS,
        7,
        2,
        ("hi.wav", b"RIFF\0\r\n--", "audio/wav"),
    ),
    "/tokenize": Call({"content": "Hi"}, "/tokenize", {"tokens": [1]}),
    "/detokenize": Call({"tokens": [1]}, "/detokenize", {"content": "Hi"}),
    "/apply-template": Call({"messages": MESSAGES}, "/apply-template", {"prompt": "Hi"}),
}
STREAMED = [api.path for api in APIS if api.stream is not None and api.path in CALLS]
# Streamed from the model server, because llama-server may not notice a disconnect otherwise.
ASSEMBLED = ("/v1/responses", "/v1/messages", "/infill")
WHOLE = [path for path, call in CALLS.items() if call.document]


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway whose one model has every task, and which soon sends keep-alives."""
    async with running(with_keep_alive(server, 0.02)) as url, client_of(url) as one:
        yield one


@pytest.fixture
async def undisturbed(server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    """The same without keep-alives, however slow the machine is."""
    async with running(with_keep_alive(server, 90)) as url, client_of(url) as one:
        yield one


def with_keep_alive(server: ModelServer, seconds: float) -> GatewaySettings:
    keep_alive = dict.fromkeys(("first_comment", "first_space", "interval"), seconds)
    tasks = [str(task) for task in ModelTask]
    return settings(server.url, tasks=tasks, keep_alive=keep_alive)


async def tokens_become(client: httpx.AsyncClient, prompt: int, completion: int) -> None:
    """The gateway counts a request after its response has ended."""
    async with asyncio.timeout(5):
        while await tokens(client) != (prompt, completion):
            pass


async def tokens(client: httpx.AsyncClient) -> tuple[int, int]:
    """The tokens of prompts and completions in the metrics."""
    found = {"prompt": 0, "completion": 0}
    for line in (await client.get("/metrics")).text.splitlines():
        if line.startswith("gateway_tokens_total{"):
            kind = line.split('kind="')[1].split('"')[0]
            found[kind] += int(float(line.rsplit(" ", 1)[1]))
    return found["prompt"], found["completion"]


def test_each_api_with_a_json_body_has_a_test() -> None:
    assert {api.path for api in APIS} == set(CALLS)


def test_no_path_is_listed_twice() -> None:
    assert len(API_OF_PATH) == sum(len(api.paths) for api in APIS)


@pytest.mark.parametrize("path", WHOLE)
async def test_a_document_is_relayed_and_its_tokens_are_counted(
    client: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    call = CALLS[path]
    server.behaviour = answering(call.document, call.events)
    response = await client.post(path, **call.request(model="m"))
    assert response.json() == call.document
    assert response.headers["x-routed-model"] == "m"
    assert server.received[0].path == call.upstream
    streams = {"stream": True} if path in ASSEMBLED else {}
    assert server.received[0].body == call.received(model="m", **streams)
    await tokens_become(client, call.prompt, call.completion)


@pytest.mark.parametrize("path", STREAMED)
async def test_a_stream_is_relayed_byte_for_byte_and_its_tokens_are_counted(
    undisturbed: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    call = CALLS[path]
    server.behaviour = answering({}, call.events)
    response = await undisturbed.post(path, **call.request(model="m", stream=True))
    assert response.content == b"".join(call.events)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert server.received[0].path == call.upstream
    await tokens_become(undisturbed, call.prompt, call.completion)


@pytest.mark.parametrize("path", STREAMED)
async def test_a_stream_without_its_closing_event_ends_with_an_error(
    undisturbed: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    call = CALLS[path]
    server.behaviour = answering({}, call.events[:-1])
    response = await undisturbed.post(path, **call.request(model="m", stream=True))
    sent = b"".join(call.events[:-1])
    assert response.content.startswith(sent)
    error = json.loads(response.content[len(sent) :].split(b"data: ")[1])["error"]
    assert error["code"] == "upstream_lost"


@pytest.mark.parametrize("path", STREAMED)
async def test_an_error_of_the_model_server_has_the_form_of_the_api(
    client: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    call = CALLS[path]
    refused = {"code": 400, "message": "too long", "type": "exceed_context_size_error"}
    event = b"event: error\ndata: " + json.dumps(refused).encode() + b"\n\n"
    if path != "/v1/messages":
        event = b"data: " + json.dumps({"error": refused}).encode() + b"\n\n"
    seen = asyncio.Event()

    async def fail_late(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(call.events[0])
        await seen.wait()
        await response.write(event)
        return response

    server.behaviour = fail_late
    request = call.request(model="m", stream=True)
    async with client.stream("POST", path, **request) as response:
        pieces = response.aiter_raw()
        await anext(pieces)
        seen.set()
        rest = b"".join([piece async for piece in pieces])
    name, _, data = rest.rpartition(b"data: ")
    error = json.loads(data)["error"]
    assert (error["message"], error["type"]) == ("too long", "invalid_request_error")
    assert error["code"] == "context_length_exceeded"
    assert name.endswith(b"event: error\n") is (path in ("/v1/messages", "/v1/responses"))


@pytest.mark.parametrize("path", WHOLE)
async def test_a_disconnect_closes_the_connection_to_the_model_server(
    client: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    async def never(received: ReceivedRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.behaviour = never
    request = asyncio.create_task(client.post(path, **CALLS[path].request(model="m")))
    received = await server.wait_for(1)
    request.cancel()
    await asyncio.wait_for(received.abandoned.wait(), 5)


@pytest.mark.parametrize("path", WHOLE)
async def test_white_space_keeps_a_document_alive(
    client: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    call, seen = CALLS[path], asyncio.Event()

    async def late(received: ReceivedRequest) -> web.StreamResponse:
        await seen.wait()
        return await answering(call.document, call.events)(received)

    server.behaviour = late
    async with client.stream("POST", path, **call.request(model="m")) as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == b" "
        seen.set()
        rest = b"".join([piece async for piece in pieces])
    assert json.loads(rest) == call.document


@pytest.mark.parametrize("path", STREAMED)
async def test_a_waiting_stream_gets_what_its_clients_ignore(
    client: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    call, seen = CALLS[path], asyncio.Event()

    async def late(received: ReceivedRequest) -> web.StreamResponse:
        await seen.wait()
        return await answering({}, call.events)(received)

    server.behaviour = late
    request = call.request(model="m", stream=True)
    async with client.stream("POST", path, **request) as response:
        first = await anext(response.aiter_raw())
        seen.set()
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    assert first.startswith(ping if path == "/v1/messages" else b": keep-alive\n\n")


async def test_a_conversation_that_was_cancelled_counts_the_tokens_that_were_sent(
    client: httpx.AsyncClient, server: ModelServer
) -> None:
    async def two_then_wait(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(b"".join(MESSAGE_EVENTS[:4]))
        await asyncio.Event().wait()
        return response

    server.behaviour = two_then_wait
    body = {"model": "m", **CALLS["/v1/messages"].body, "stream": True}
    async with client.stream("POST", "/v1/messages", json=body) as response:
        await anext(response.aiter_raw())
    await asyncio.wait_for(server.received[0].abandoned.wait(), 5)
    await tokens_become(client, 7, 2)


@pytest.mark.parametrize(
    "api", [api for api in APIS if not api.needs_model], ids=lambda api: api.path
)
async def test_a_model_with_the_task_is_chosen_where_clients_send_none(
    client: httpx.AsyncClient, server: ModelServer, api: Api
) -> None:
    call = CALLS[api.path]
    server.behaviour = answering(call.document, call.events)
    response = await client.post(api.path, json=call.body)
    assert response.status_code == 200
    assert server.received[0].body.items() >= {**call.body, "model": "m"}.items()
