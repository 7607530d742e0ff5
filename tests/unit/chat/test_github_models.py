"""GitHub Models as one more upstream: only with a token, and for `auto` only as a last resort."""

from __future__ import annotations

import httpx

from app.chat.settings import GatewaySettings, Secrets
from tests.doubles.model_server import ModelServer, refuse
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

NAME = "openai/gpt-4.1-mini"
TOKEN = Secrets(github_token="ghp_token")
QUESTION = {"model": NAME, "messages": [{"role": "user", "content": "Hi"}]}


def with_github(local: ModelServer, github: ModelServer) -> GatewaySettings:
    return settings(local.url, github_models={"url": f"{github.url}/inference"})


async def ready(client: httpx.AsyncClient, model: str, state: str) -> None:
    while (await client.get(f"/v1/models/{model}")).json()["state"] != state:
        pass


async def test_without_a_token_there_is_no_such_model(
    server: ModelServer, other: ModelServer
) -> None:
    async with running(with_github(server, other)) as url, client_of(url) as client:
        assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 404


async def test_with_a_token_its_models_are_listed_and_used_with_the_token(
    server: ModelServer, other: ModelServer
) -> None:
    async with running(with_github(server, other), TOKEN) as url, client_of(url) as client:
        listed = (await client.get("/v1/models")).json()["data"]
        assert [(model["id"], model["external"]) for model in listed] == [
            ("m", False),
            (NAME, True),
        ]
        response = await client.post(
            "/v1/chat/completions", json=QUESTION, headers={"authorization": "Bearer sk-mine"}
        )
        assert response.status_code == 200
        assert other.received[0].path == "/inference/chat/completions"
        assert other.received[0].headers["authorization"] == "Bearer ghp_token"
        assert other.received[0].body["model"] == NAME


async def test_auto_falls_back_to_it_when_no_local_model_is_ready(
    server: ModelServer, other: ModelServer
) -> None:
    question = {**QUESTION, "model": "auto"}
    async with running(with_github(server, other), TOKEN) as url, client_of(url) as client:
        await ready(client, "m", "ready")
        local = await client.post("/v1/chat/completions", json=question)
        assert local.headers["x-routed-model"] == "m"
        await server.stop()
        await ready(client, "m", "down")
        distant = await client.post("/v1/chat/completions", json=question)
        assert distant.headers["x-routed-model"] == NAME
        assert distant.status_code == 200


async def test_a_rejected_token_is_an_error_of_the_gateway_not_of_the_client(
    server: ModelServer, other: ModelServer
) -> None:
    other.behaviour = refuse(401, {"message": "Bad credentials ghp_token"})
    async with running(with_github(server, other), TOKEN) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=QUESTION)
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_auth"
        assert "ghp_token" not in response.text


async def test_its_rate_limit_reaches_the_client_with_retry_after(
    server: ModelServer, other: ModelServer
) -> None:
    other.behaviour = refuse(429, {"message": "slow down"}, **{"retry-after": "42"})
    async with running(with_github(server, other), TOKEN) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=QUESTION)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "42"
