"""Refusal of requests to other host names: DNS rebinding, and reverse proxies."""

from __future__ import annotations

import httpx
import pytest

from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
PUBLIC = "chat.example.com"


async def ask(url: str, **headers: str) -> httpx.Response:
    async with client_of(url, **headers) as client:
        return await client.post("/v1/chat/completions", json=QUESTION)


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/status", "/metrics"])
async def test_a_rebound_name_reads_nothing(gateway: httpx.AsyncClient, path: str) -> None:
    response = await gateway.get(path, headers={"host": "evil.example:8080"})
    assert response.status_code == 421
    error = response.json()["error"]
    assert error["code"] == "host_not_allowed"
    assert error["type"] == "invalid_request_error"
    assert "llm-stack:gateway.hosts" in error["message"]
    assert "evil" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_page_of_a_rebound_name_cannot_ask_a_model(server: ModelServer) -> None:
    async with running(settings(server.url)) as url:
        response = await ask(url, host="evil.example", origin="http://evil.example")
    assert response.status_code == 421
    assert not server.received


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]", "chat-interface:8080"])
async def test_clients_of_the_machine_and_the_network_are_answered(
    server: ModelServer, host: str
) -> None:
    async with running(settings(server.url)) as url:
        assert (await ask(url, host=host)).status_code == 200


@pytest.mark.parametrize("host", [PUBLIC, "Chat.Example.Com", f"{PUBLIC}:443", f"{PUBLIC}:80"])
@pytest.mark.parametrize("origin", [f"https://{PUBLIC}", f"http://{PUBLIC}", None])
async def test_the_page_of_a_public_name_may_call(
    server: ModelServer, host: str, origin: str | None
) -> None:
    headers = {"host": host} | ({"origin": origin} if origin else {})
    async with running(settings(server.url, hosts=[PUBLIC])) as url:
        assert (await ask(url, **headers)).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (f"https://{PUBLIC}", 200),
        ("https://chat.example.net:8443", 200),
        (f"https://{PUBLIC}:9000", 403),
        ("https://chat.example.net", 403),
        ("https://evil.trycloudflare.com", 403),
        ("app://chat.example.com", 403),
        ("null", 403),
        ("https://", 403),
        (f"https://user@{PUBLIC}", 403),
    ],
)
async def test_behind_a_proxy_that_changes_the_host_the_page_is_known_by_its_origin(
    server: ModelServer, origin: str, status: int
) -> None:
    hosts = [PUBLIC, "chat.example.net:8443", "*.trycloudflare.com"]
    async with running(settings(server.url, hosts=hosts)) as url:
        response = await ask(url, host="chat-interface:8080", origin=origin)
    assert response.status_code == status


async def test_the_page_of_a_quick_tunnel_may_call(server: ModelServer) -> None:
    host = "quiet-1a2b.trycloudflare.com"
    async with running(settings(server.url, hosts=["*.trycloudflare.com"])) as url:
        response = await ask(url, host=host, origin=f"https://{host}")
        assert response.status_code == 200


async def test_a_port_that_differs_is_another_origin(server: ModelServer) -> None:
    async with running(settings(server.url)) as url:
        other = await ask(url, host="localhost:8080", origin="http://localhost:3000")
        same = await ask(url, host="localhost:8080", origin="http://LOCALHOST:8080")
    assert (other.status_code, same.status_code) == (403, 200)
    assert "llm-stack:gateway.corsOrigins" in other.json()["error"]["message"]
