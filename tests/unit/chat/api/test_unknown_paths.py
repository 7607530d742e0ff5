"""Paths and methods that the API does not have, and HEAD, with and without the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of


@pytest.fixture(params=["with page", "without page"])
async def site(
    request: pytest.FixtureRequest, server: ModelServer, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    if request.param == "with page":
        (tmp_path / "index.html").write_text("<!doctype html><title>Chat</title>")
    async with (
        running(settings(server.url), web_root=tmp_path) as url,
        client_of(url) as client,
    ):
        while (await client.get("/ready")).status_code != 200:
            pass
        yield client


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("/openai/v1/embeddings", "/v1/embeddings"),
        ("/api/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/V1/Completions", "/v1/completions"),
        ("/api/chat", "/v1/chat/completions (OpenAI's API in place of Ollama's)"),
    ],
)
async def test_a_wrong_path_is_404_with_the_nearest_one(
    site: httpx.AsyncClient, path: str, meant: str
) -> None:
    response = await site.post(path, json={"model": "m"})
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "not_found"
    assert error["message"].endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/wp-login.php", "/" + "a" * 5000])
async def test_an_unknown_path_is_404_for_every_method(
    site: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await site.request(method, path)
    assert response.status_code == 404
    assert "did you mean" not in response.text
    assert len(response.content) < 1000


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("HEAD", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/embeddings", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/m", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_path_lacks_is_405_with_those_that_it_has(
    site: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await site.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    if method != "HEAD":
        assert response.json()["error"]["code"] == "method_not_allowed"
        assert allowed in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/v1/models/m", "/", "/nope"])
async def test_head_is_get_without_the_body(site: httpx.AsyncClient, path: str) -> None:
    got, head = await site.get(path), await site.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    names = ("content-type", "cache-control")
    assert [head.headers.get(name) for name in names] == [got.headers.get(name) for name in names]
    # The connection is still usable.
    assert (await site.get("/health")).json() == {"status": "ok"}
