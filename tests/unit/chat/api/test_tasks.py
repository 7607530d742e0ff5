"""The tasks of a model decide which endpoints it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.doubles.model_server import ModelServer, ReceivedRequest
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

MESSAGES = [{"role": "user", "content": "Hi"}]
VECTORS = {"object": "list", "data": [{"object": "embedding", "embedding": [0.5], "index": 0}]}
RANKING = {"model": "ranks", "results": [{"index": 1, "relevance_score": 0.9}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
    "/v1/rerank": {"query": "Hi", "documents": ["a", "b"], "top_n": 1},
}


def served(server: ModelServer, name: str, *tasks: str) -> dict[str, Any]:
    return {
        "name": f"{name}-server",
        "urls": [server.url],
        "models": [name],
        "tasks": tasks,
        "health": "/health",
    }


@pytest.fixture
async def client(server: ModelServer, other: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with a llama-server model `m`, and a model for each other endpoint."""
    servers = [
        served(other, "vectors", "embedding"),
        served(other, "ranks", "rerank"),
        served(other, "voice", "speech", "transcription"),
    ]
    async with (
        running(settings(server.url, servers=servers)) as url,
        client_of(url) as one,
    ):
        yield one


async def json_of(received: ReceivedRequest) -> web.StreamResponse:
    return web.json_response(RANKING if received.path == "/v1/rerank" else VECTORS)


@pytest.mark.parametrize(
    ("path", "model", "answer"),
    [("/v1/embeddings", "vectors", VECTORS), ("/v1/rerank", "ranks", RANKING)],
)
async def test_vectors_and_rankings_are_passed_on_unchanged(
    client: httpx.AsyncClient, other: ModelServer, path: str, model: str, answer: object
) -> None:
    other.behaviour = json_of
    body = {"model": model, **BODIES[path]}
    response = await client.post(path, json=body)
    assert response.json() == answer
    assert response.headers["x-routed-model"] == model
    assert other.received[0].path == path
    assert other.received[0].body == body


@pytest.mark.parametrize(
    ("path", "model", "able"),
    [
        ("/v1/embeddings", "m", "chat (/v1/chat/completions), completion (/v1/completions)"),
        ("/v1/rerank", "m", "chat (/v1/chat/completions), completion (/v1/completions)"),
        ("/v1/chat/completions", "vectors", "embedding (/v1/embeddings)"),
        ("/v1/completions", "ranks", "rerank (/v1/rerank)"),
        ("/v1/chat/completions", "voice", "speech, transcription (/v1/audio/transcriptions)"),
    ],
)
async def test_a_request_for_another_task_is_refused_with_what_the_model_can_do(
    client: httpx.AsyncClient,
    server: ModelServer,
    other: ModelServer,
    path: str,
    model: str,
    able: str,
) -> None:
    response = await client.post(path, json={"model": model, **BODIES[path]})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("task_not_supported", "model")
    assert error["type"] == "invalid_request_error"
    assert error["message"].endswith(f"; it has: {able}")
    assert not server.received
    assert not other.received


async def test_the_list_of_models_shows_their_tasks_and_their_server(
    client: httpx.AsyncClient,
) -> None:
    listed = (await client.get("/v1/models")).json()["data"]
    assert [(one["id"], one["owned_by"], one["tasks"]) for one in listed] == [
        ("m", "llm-stack", ["chat", "completion"]),
        ("vectors", "vectors-server", ["embedding"]),
        ("ranks", "ranks-server", ["rerank"]),
        ("voice", "voice-server", ["speech", "transcription"]),
    ]


async def test_auto_chooses_a_model_with_the_task(
    client: httpx.AsyncClient, other: ModelServer
) -> None:
    other.behaviour = json_of
    for path, model in {
        "/v1/chat/completions": "m",
        "/v1/embeddings": "vectors",
        "/v1/rerank": "ranks",
    }.items():
        response = await client.post(path, json={"model": "auto", **BODIES[path]})
        assert response.status_code == 200, response.text
        assert response.headers["x-routed-model"] == model
    assert [received.body["model"] for received in other.received] == ["vectors", "ranks"]


async def test_auto_without_a_model_for_the_task_is_refused(server: ModelServer) -> None:
    async with running(settings(server.url)) as url, client_of(url) as client:
        response = await client.post("/v1/rerank", json={"model": "auto", **BODIES["/v1/rerank"]})
        assert response.status_code == 503
        error = response.json()["error"]
        assert error["code"] == "no_model"
        assert "'rerank'" in error["message"]
