"""Refused requests: each gets OpenAI's error object and the right status."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "invalid_json", None),
        (b"[]", 400, "invalid_json", None),
        (b"[" * 100_000, 400, "invalid_json", None),
        (b'{"messages": []}', 400, "invalid_request", "model"),
        (b'{"model": 3}', 400, "invalid_request", "model"),
        (b'{"model": "m", "stream": "yes"}', 400, "invalid_request", "stream"),
        (b'{"model": "nope"}', 404, "model_not_found", "model"),
    ],
)
@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "rerank"])
async def test_a_bad_body_is_refused_in_openais_form(
    gateway: httpx.AsyncClient, path: str, body: bytes, status: int, code: str, param: str | None
) -> None:
    headers = {"content-type": "application/json"}
    response = await gateway.post(f"/v1/{path}", content=body, headers=headers)
    assert response.status_code == status
    error = response.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/models/nope", 404),
        ("GET", "/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
    ],
)
async def test_an_unknown_path_is_refused_in_openais_form(
    gateway: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await gateway.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["message"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read(server: ModelServer) -> None:
    configuration = settings(server.url, limits={"body_bytes": 1024})
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 2000}]})

    async def in_pieces() -> object:
        for start in range(0, len(body), 100):
            yield body[start : start + 100].encode()

    async with running(configuration) as url, client_of(url) as client:
        for content in (body, in_pieces()):
            response = await client.post("/v1/chat/completions", content=content)  # type: ignore[arg-type]
            assert response.status_code == 413
            assert response.json()["error"]["code"] == "request_too_large"


async def test_a_body_that_does_not_arrive_times_out(server: ModelServer) -> None:
    configuration = settings(server.url, limits={"body_seconds": 0.1})
    async with running(configuration) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        answer = await reader.readuntil(b"\r\n")
        assert b"408" in answer
        writer.close()
        await writer.wait_closed()


async def test_too_many_open_requests_are_refused_before_they_are_read(
    server: ModelServer,
) -> None:
    configuration = settings(server.url, limits={"open_requests": 1})
    async with running(configuration) as url, client_of(url) as client:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
        await writer.drain()
        body = {"model": "m", "messages": MESSAGES}
        response = await client.post("/v1/chat/completions", json=body)
        while response.status_code == 200:
            response = await client.post("/v1/chat/completions", json=body)
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "gateway_full"
        assert (await client.get("/health")).status_code == 200
        writer.close()
        await writer.wait_closed()


async def test_bodies_that_together_are_too_large_are_refused(server: ModelServer) -> None:
    configuration = settings(server.url, limits={"all_bodies_bytes": 1024})
    async with running(configuration) as url, client_of(url) as client:
        body = {"model": "m", "messages": [{"role": "user", "content": "x" * 600}]}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        body["messages"] = [{"role": "user", "content": "x" * 1100}]
        refused = await client.post("/v1/chat/completions", json=body)
        assert refused.json()["error"]["code"] == "gateway_full"
        body["messages"] = MESSAGES
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


async def test_an_unexpected_error_is_an_error_object_without_a_traceback(
    gateway: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("app.chat.api.routes.describe", explode)
    response = await gateway.get("/v1/models")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert "secret detail" not in response.text
