"""Refusals of a request by a model server: status 400 with the reason, and no retry."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.doubles.model_server import ModelServer, ReceivedRequest, model_server, refuse
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**QUESTION, "stream": True}

TEMPLATE_FAILURE = """
------------
While executing CallExpression at line 7, column 16 in source:
...%}\n    {{ raise_exception('Conversation roles must alternate') }}\n...
           ^
Error: Jinja Exception: Conversation roles must alternate"""


def server_error(message: str) -> dict[str, Any]:
    """An error object of llama-server with status 500."""
    return {"code": 500, "message": message, "type": "server_error"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (TEMPLATE_FAILURE, "Conversation roles must alternate"),
        ("Jinja Exception: System message not first", "System message not first"),
        ("Failed to parse messages: Missing 'role' in message: {}", "Missing 'role' in message"),
        ("Failed to parse tools: Missing tool function: {}; tools = []", "Missing tool function"),
        ("image input is not supported - hint: mmproj", "image input is not supported"),
        (
            "[json.exception.type_error.302] type must be string, but is number",
            "type must be string",
        ),
        ("Failed to parse grammar", "Failed to parse grammar"),
    ],
)
@pytest.mark.parametrize("question", [QUESTION, STREAM])
async def test_a_refused_request_is_400_with_the_reason_and_is_not_retried(
    server: ModelServer, other: ModelServer, message: str, reason: str, question: dict[str, Any]
) -> None:
    server.behaviour = other.behaviour = refuse(500, server_error(message))
    configured = settings(server.url, other.url, breaker={"failures": 1})
    async with running(configured) as url, client_of(url) as client:
        for number in (1, 2, 3):
            response = await client.post("/v1/chat/completions", json=question)
            error = response.json()["error"]
            assert response.status_code == 400
            assert error["type"] == "invalid_request_error"
            assert error["code"] == "upstream_refused"
            assert reason in error["message"]
            assert "in source" not in error["message"]
            assert len(server.received) + len(other.received) == number
        metrics = (await client.get("/metrics")).text
        assert 'outcome="upstream_refused"} 3.0' in metrics


@pytest.mark.parametrize(
    "error",
    [
        server_error("decode() failed: out of memory at /srv/model.gguf"),
        server_error("std::bad_alloc"),
        server_error("got exception: Failed to parse grammar of /srv/model.gguf"),
        {"message": "Failed to parse messages of /srv/x", "type": "InternalServerError"},
    ],
)
async def test_a_failure_of_the_server_is_502_and_is_retried_once(
    server: ModelServer, other: ModelServer, error: dict[str, Any]
) -> None:
    server.behaviour = other.behaviour = refuse(500, error)
    configured = settings(server.url, other.url, other.url.replace("127.0.0.1", "localhost"))
    async with running(configured) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 502
    assert "srv" not in response.text
    assert len(server.received) + len(other.received) == 2


async def test_a_request_that_breaks_connections_reaches_two_replicas_at_most(
    server: ModelServer, other: ModelServer
) -> None:
    async def die(received: ReceivedRequest) -> web.StreamResponse:
        received.cut()
        raise ConnectionResetError

    async with model_server() as third:
        replicas = (server, other, third)
        for replica in replicas:
            replica.behaviour = die
        configured = settings(*(replica.url for replica in replicas))
        async with running(configured) as url, client_of(url) as client:
            response = await client.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 502
    assert sum(bool(replica.received) for replica in replicas) == 2


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        {
            "code": 400,
            "message": "request (9000 tokens) exceeds the available context size (4096 tokens)",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 9000,
            "n_ctx": 4096,
        },
        server_error(
            "input (9000 tokens) is too large to process. increase the physical batch size "
            "(current batch size: 4096)"
        ),
    ],
    ids=["context", "batch"],
)
async def test_an_overflow_has_openais_code_and_both_numbers(
    gateway: httpx.AsyncClient, server: ModelServer, error: dict[str, Any], streams: bool
) -> None:
    server.behaviour = refuse(error["code"], error)
    response = await gateway.post("/v1/chat/completions", json={**QUESTION, "stream": streams})
    assert response.status_code == 400
    found = response.json()["error"]
    assert found["type"] == "invalid_request_error"
    assert found["code"] == "context_length_exceeded"
    assert found["message"].endswith("(context_length_exceeded)"), "LangChain searches the text"
    assert found["n_prompt_tokens"] == 9000
    assert found["n_ctx"] == 4096
    assert "4096 tokens" in found["message"]
    assert "9000 tokens" in found["message"]


async def test_an_overflow_of_vllm_has_openais_code(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    text = "This model's maximum context length is 512 tokens. However, you requested 900 tokens."
    server.behaviour = refuse(400, {"message": text, "type": "BadRequestError", "code": 400})
    response = await gateway.post("/v1/chat/completions", json=QUESTION)
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert response.json()["error"]["message"] == text


async def test_an_endpoint_that_the_server_lacks_is_400_because_clients_retry_501(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    message = "This server does not support embeddings. Start it with `--embeddings`"
    server.behaviour = refuse(501, {"code": 501, "message": message, "type": "not_supported_error"})
    response = await gateway.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == message
    assert len(server.received) == 1


async def test_a_refusal_inside_a_stream_has_its_reason(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    async def refuse_inside(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        error = server_error(TEMPLATE_FAILURE)
        await response.write(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
        return response

    server.behaviour = refuse_inside
    response = await gateway.post("/v1/chat/completions", json=STREAM)
    assert b"roles must alternate" in response.content
    assert b"in source" not in response.content


async def test_a_refusal_is_not_logged_as_a_failure_of_the_replica(
    gateway: httpx.AsyncClient, server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.behaviour = refuse(400, {"code": 400, "message": "no", "type": "invalid_request_error"})
    await gateway.post("/v1/chat/completions", json=QUESTION)
    messages = [record.getMessage() for record in caplog.records]
    assert "a replica failed a request" not in messages
    assert "a replica refused a request" in messages
