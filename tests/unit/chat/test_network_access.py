"""Only requests that leave the stack use the proxy and the extra authorities."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.chat.apis.openai_text import CHAT_COMPLETIONS
from app.chat.fleet.model_response import ModelResponse
from app.chat.fleet.server import Server
from app.chat.fleet.upstream import UpstreamClient, external_tls
from app.chat.fleet.upstream_errors import UpstreamFailure
from tests.doubles.certificates import Company, company
from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

NAME = "openai/gpt-4.1-mini"
NOWHERE = "http://127.0.0.1:9"
HELLO = [{"role": "user", "content": "Hi"}]
OUTSIDE: dict[str, Any] = {
    "servers": [
        {
            "name": "github-models",
            "urls": ["http://models.invalid"],
            "path": "/inference",
            "models": [NAME],
            "external": True,
        }
    ]
}


@pytest.fixture(autouse=True)
def no_other_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def test_a_request_to_a_model_server_ignores_the_proxy(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    async with running(settings(server.url)) as url, client_of(url) as client:
        while (await client.get("/v1/models/m")).json()["state"] != "ready":
            pass
        answer = await client.post("/v1/chat/completions", json={"model": "m", "messages": HELLO})
        assert answer.status_code == 200
        assert len(server.received) == 1


async def test_a_request_that_leaves_the_stack_uses_the_proxy(
    server: ModelServer, other: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", other.url)
    question = {"model": NAME, "messages": HELLO}
    async with running(settings(server.url, **OUTSIDE)) as url, client_of(url) as client:
        answer = await client.post("/v1/chat/completions", json=question)
        assert answer.status_code == 200
        assert other.received[0].path == "/inference/chat/completions"
        assert other.received[0].headers["host"] == "models.invalid"
        assert server.received == []


async def test_an_unreachable_proxy_is_reported(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    question = {"model": NAME, "messages": HELLO}
    async with running(settings(server.url, **OUTSIDE)) as url, client_of(url) as client:
        answer = await client.post("/v1/chat/completions", json=question)
        assert answer.status_code == 502
        assert "the proxy cannot be reached" in answer.json()["error"]["message"]


@pytest.fixture
def made(tmp_path: Path) -> Company:
    return company(tmp_path)


@pytest.fixture
async def outside(made: Company) -> AsyncIterator[str]:
    """The URL of a server whose certificate the company's authority has signed."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.server_context()).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def response_of(url: str) -> ModelResponse:
    upstream = UpstreamClient(connect_seconds=5)
    server = Server(url, None, slots=1, external=True)
    try:
        return await upstream.requests.open(server, CHAT_COMPLETIONS, b"{}", "1", resend=True)
    finally:
        await upstream.close()


async def test_the_companys_authority_is_trusted_once_it_is_set(
    outside: str, made: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXTRA_CA_FILE", raising=False)
    with pytest.raises(UpstreamFailure) as failed:
        await response_of(outside)
    assert "its certificate is not trusted" in failed.value.error.message
    monkeypatch.setenv("EXTRA_CA_FILE", str(made.authority))
    assert (await response_of(outside)).status == 200


def test_the_public_authorities_are_still_trusted(made: Company) -> None:
    context = external_tls({"EXTRA_CA_FILE": str(made.authority)})
    assert isinstance(context, ssl.SSLContext)
    public = ssl.create_default_context().cert_store_stats()["x509"]
    assert context.cert_store_stats()["x509"] == public + 1
    assert context.verify_mode is ssl.CERT_REQUIRED
