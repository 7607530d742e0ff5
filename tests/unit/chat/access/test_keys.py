"""API keys: authentication, allowed models, limits; no key is stored or shown."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from app.chat.access.keys import main, new_key
from app.chat.access.rate_limit import MinuteBudget
from app.chat.settings import KeyFile, Secrets
from tests.doubles.model_server import HeldResponses, ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def key_file(**limits: object) -> tuple[str, Secrets]:
    key, record = new_key("alice")
    entry = {**record.model_dump(), **limits}
    return key, Secrets(api_keys=KeyFile.model_validate({"keys": [entry]}))


@pytest.fixture
async def locked(server: ModelServer) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    key, secrets = key_file()
    async with running(settings(server.url), secrets) as url, client_of(url) as client:
        yield client, key


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m", "/status"])
async def test_with_keys_the_models_are_hidden_from_clients_without_one(
    locked: tuple[httpx.AsyncClient, str], path: str
) -> None:
    client, key = locked
    refused = await client.get(path)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "missing_api_key"
    assert refused.headers["www-authenticate"] == "Bearer"
    assert (await client.get(path, headers=bearer(key))).status_code == 200


async def test_a_wrong_key_is_refused_and_not_repeated(
    locked: tuple[httpx.AsyncClient, str],
) -> None:
    client, _ = locked
    refused = await client.post("/v1/chat/completions", json=QUESTION, headers=bearer("sk-guess"))
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert "sk-guess" not in refused.text


async def test_health_needs_no_key(locked: tuple[httpx.AsyncClient, str]) -> None:
    client, _ = locked
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/ready")).status_code in (200, 503)


async def test_a_key_allows_only_its_models(server: ModelServer) -> None:
    key, secrets = key_file(models=["m"])
    two = settings(
        server.url,
        models=[
            {"id": "m", "replicas": [server.url]},
            {"id": "private", "replicas": [server.url]},
        ],
    )
    async with running(two, secrets) as url, client_of(url, **bearer(key)) as client:
        listed = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
        assert listed == ["m"]
        assert [model["id"] for model in (await client.get("/status")).json()["models"]] == ["m"]
        body = {**QUESTION, "model": "private"}
        refused = await client.post("/v1/chat/completions", json=body)
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "model_not_allowed"
        unknown = await client.post("/v1/chat/completions", json={**QUESTION, "model": "x"})
        assert unknown.status_code == 404
        assert "private" not in unknown.text
        chosen = await client.post("/v1/chat/completions", json={**QUESTION, "model": "auto"})
        assert chosen.headers["x-routed-model"] == "m"


async def test_requests_over_the_limit_per_minute_are_refused(server: ModelServer) -> None:
    key, secrets = key_file(rpm=2)
    async with running(settings(server.url), secrets) as url, client_of(url, **bearer(key)) as c:
        statuses = [
            (await c.post("/v1/chat/completions", json=QUESTION)).status_code for _ in range(3)
        ]
        assert statuses == [200, 200, 429]
        refused = await c.post("/v1/chat/completions", json=QUESTION)
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 30


async def test_requests_at_once_are_limited_per_key(server: ModelServer) -> None:
    key, secrets = key_file(concurrency=1)
    server.behaviour = held = HeldResponses()
    async with running(settings(server.url), secrets) as url, client_of(url, **bearer(key)) as c:
        first = asyncio.create_task(c.post("/v1/chat/completions", json=QUESTION))
        await server.wait_for(1)
        refused = await c.post("/v1/chat/completions", json=QUESTION)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "concurrency_limit"
        held.released.set()
        assert (await first).status_code == 200
        assert (await c.post("/v1/chat/completions", json=QUESTION)).status_code == 200


def test_the_limit_per_minute_refills_evenly() -> None:
    now = 0.0
    budget = MinuteBudget(60, lambda: now)
    assert [budget.take() for _ in range(60)] == [0.0] * 60
    assert budget.take() == pytest.approx(1.0)
    now = 1.0
    assert budget.take() == 0.0
    now = 1000.0
    assert [budget.take() for _ in range(61)].count(0.0) == 60, "at most one minute of requests"


def test_the_command_makes_a_key_and_an_entry_with_only_its_hash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["new", "alice"]) == 0
    shown, entry_line = capsys.readouterr().out.splitlines()
    key = shown.rpartition(" ")[2]
    entry = json.loads(entry_line[entry_line.index("{") :])
    assert key.startswith("sk-")
    assert len(key) >= 43
    assert entry == {"name": "alice", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    KeyFile.model_validate({"keys": [entry]})


@pytest.mark.parametrize("arguments", [[], ["new"], ["new", "a b"], ["old", "alice"]])
def test_the_command_refuses_invalid_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err


def test_secrets_do_not_show_in_a_repr() -> None:
    key, secrets = key_file()
    secrets = Secrets(
        api_keys=secrets.api_keys, upstream_keys={"upstream-github-models": "ghp_secret"}
    )
    assert key not in repr(secrets)
    assert "ghp_secret" not in repr(secrets)
    assert "sha256" not in repr(secrets)
