"""A gateway whose list of models changes while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.chat.model_lists import watched_lists
from app.chat.settings import GatewaySettings, load_secrets
from app.shared import watched_file
from app.shared.settings_file import SettingsError
from tests.doubles.model_server import HELLO, HeldResponses, ModelServer, model_server
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUICK = 0.02


def question(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


class ListFile:
    """The file models.json, and the secrets beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "models.json"
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.write()

    def write(self, *models: dict[str, Any], servers: tuple[dict[str, Any], ...] = ()) -> None:
        self.write_text(json.dumps({"models": models, "servers": servers}))

    def write_text(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def write_secret(self, name: str, text: str) -> None:
        (self.secrets / name).write_text(text, encoding="utf-8")


@pytest.fixture
def list_file(tmp_path: Path) -> ListFile:
    return ListFile(tmp_path)


@contextlib.asynccontextmanager
async def gateway_of(list_file: ListFile, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that reads the file often."""
    environ = {"SECRETS_DIR": str(list_file.secrets)}
    lists = watched_lists(str(list_file.path), environ, seconds=QUICK)
    listed = lists.first()
    configured = settings(**more).with_lists(listed.lists)
    async with (
        running(configured, load_secrets(configured, environ), lists=lists) as url,
        client_of(url) as client,
    ):
        yield client


@pytest.fixture
async def client(list_file: ListFile) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway_of(list_file) as one:
        yield one


def entry(server: ModelServer, name: str = "m", **more: Any) -> dict[str, Any]:
    return {"id": name, "slots": 2, "replicas": [server.url], **more}


async def models(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in (await client.get("/status")).json()["models"]}


async def until(
    client: httpx.AsyncClient, condition: Callable[[dict[str, dict[str, Any]]], object]
) -> None:
    """Wait until the status of the models fulfils a condition."""
    async with asyncio.timeout(10):
        while not condition(await models(client)):
            pass


async def until_metric(client: httpx.AsyncClient, line: str) -> None:
    async with asyncio.timeout(10):
        while line not in (await client.get("/metrics")).text:
            pass


async def answer(client: httpx.AsyncClient, model: str) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=question(model))


async def test_an_added_model_answers_without_a_restart(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer
) -> None:
    assert (await answer(client, "m")).status_code == 404
    list_file.write(entry(server))
    await until(client, lambda found: found.get("m", {}).get("state") == "ready")
    assert (await answer(client, "m")).status_code == 200
    listed = (await client.get("/v1/models")).json()["data"]
    assert [one["id"] for one in listed] == ["m"]


async def test_a_removed_model_is_unknown_and_its_metrics_end(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer, other: ModelServer
) -> None:
    list_file.write(entry(server), entry(other, "n"))
    await until(client, lambda found: all(found.get(name) for name in "mn"))
    list_file.write(entry(other, "n"))
    await until(client, lambda found: "m" not in found)
    refused = await answer(client, "m")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "model_not_found"
    assert (await answer(client, "n")).status_code == 200
    metrics = (await client.get("/metrics")).text
    assert 'gateway_slots{model="n",' in metrics
    assert 'gateway_slots{model="m",' not in metrics


async def removed_while_busy(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer
) -> tuple[HeldResponses, asyncio.Task[httpx.Response], asyncio.Task[httpx.Response]]:
    """Remove a model while one request runs and one waits for its slot; returns both."""
    held = HeldResponses()
    server.behaviour = held
    list_file.write(entry(server, slots=1))
    await until(client, lambda found: found.get("m", {}).get("state") == "ready")
    running_one = asyncio.create_task(answer(client, "m"))
    await server.wait_for(1)
    waiting_one = asyncio.create_task(answer(client, "m"))
    await until(client, lambda found: found["m"]["queue"] == 1)
    list_file.write()
    await until(client, lambda found: not found)
    return held, running_one, waiting_one


async def test_requests_of_a_removed_model_are_completed(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer
) -> None:
    """The one that runs, and the one that waits for its slot."""
    held, running_one, waiting_one = await removed_while_busy(list_file, client, server)
    held.released.set()
    assert [one.status_code for one in await asyncio.gather(running_one, waiting_one)] == [200, 200]


async def test_a_request_that_waits_for_a_removed_model_without_servers_is_refused(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer
) -> None:
    held, running_one, waiting_one = await removed_while_busy(list_file, client, server)
    server.health = (500, {})
    assert (await waiting_one).status_code == 503
    held.released.set()
    assert (await running_one).status_code == 200


async def test_a_removed_model_is_no_longer_checked(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer, other: ModelServer
) -> None:
    list_file.write(entry(server), entry(other, "n"))
    await until(client, lambda found: all(found.get(n, {}).get("available") for n in "mn"))
    list_file.write(entry(other, "n"))
    await until(client, lambda found: "m" not in found)
    # A check that was under way when the list changed may still arrive.
    before = len(server.health_requests)
    others = len(other.health_requests)
    async with asyncio.timeout(10):
        while len(other.health_requests) < others + 5:
            await models(client)
    assert len(server.health_requests) <= before + 1


async def test_a_changed_description_leaves_the_servers_of_a_model_as_they_are(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer
) -> None:
    held = HeldResponses()
    server.behaviour = held
    list_file.write(entry(server))
    await until(client, lambda found: found.get("m", {}).get("state") == "ready")
    request = asyncio.create_task(answer(client, "m"))
    await server.wait_for(1)
    list_file.write(entry(server, description="another", context=512))
    await until(client, lambda found: found["m"]["description"] == "another")
    status = (await models(client))["m"]
    assert (status["busy"], status["context"], status["state"]) == (1, 512, "ready")
    held.released.set()
    assert (await request).status_code == 200


async def test_no_request_fails_while_the_servers_of_a_model_change(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer, other: ModelServer
) -> None:
    """The servers of the earlier list serve until those of the new one do."""
    list_file.write(entry(server))
    await until(client, lambda found: found.get("m", {}).get("state") == "ready")
    other.health = (503, {"error": {"type": "unavailable_error", "message": "Loading model"}})
    statuses: list[int] = []
    async with asyncio.TaskGroup() as tasks:
        done = asyncio.Event()

        async def ask() -> None:
            while not done.is_set():
                statuses.append((await answer(client, "m")).status_code)

        for _ in range(3):
            tasks.create_task(ask())
        list_file.write(entry(other, slots=3))
        await until(client, lambda found: len(found["m"]["replicas"]) == 2)
        asked = len(server.received)
        async with asyncio.timeout(10):
            while len(server.received) < asked + 5:
                await models(client)
        assert not other.received
        other.health = (200, {"status": "ok"})
        await until(client, lambda found: len(found["m"]["replicas"]) == 1)
        await other.wait_for(5)
        done.set()
    assert set(statuses) == {200}


@pytest.mark.parametrize(
    "broken",
    [
        "",
        '{"models": [',
        '{"models": [{"id": "n"}]}',
        '{"servers": [{"name": "x", "urls": ["http://127.0.0.1:9"], "api_key_file": "none"}]}',
    ],
)
async def test_an_invalid_list_changes_nothing_and_shows_in_the_metrics(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer, broken: str
) -> None:
    list_file.write(entry(server))
    await until(client, lambda found: found.get("m", {}).get("state") == "ready")
    await until_metric(client, 'gateway_file_valid{file="models.json"} 1.0')
    list_file.write_text(broken)
    await until_metric(client, 'gateway_file_valid{file="models.json"} 0.0')
    assert (await answer(client, "m")).status_code == 200
    list_file.write(entry(server), entry(server, "n"))
    await until(client, lambda found: "n" in found)
    await until_metric(client, 'gateway_file_valid{file="models.json"} 1.0')


async def test_an_added_server_gets_its_key_and_later_another(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer
) -> None:
    external = {
        "name": "cloud",
        "urls": [server.url],
        "models": ["big"],
        "api_key_file": "upstream-cloud",
    }
    list_file.write_secret("upstream-cloud", "sk-one")
    list_file.write(servers=(external,))
    await until(client, lambda found: found.get("big", {}).get("state") == "ready")
    assert (await answer(client, "big")).status_code == 200
    assert server.received[-1].headers["authorization"] == "Bearer sk-one"
    list_file.write_secret("upstream-cloud", "sk-two")
    async with asyncio.timeout(10):
        while server.received[-1].headers["authorization"] != "Bearer sk-two":
            assert (await answer(client, "big")).status_code == 200


async def test_models_that_a_server_lists_stay_while_its_entry_changes(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer
) -> None:
    server.listing = (200, json.dumps({"object": "list", "data": [{"id": "big"}]}).encode())
    listing = {"name": "vllm", "urls": [server.url]}
    list_file.write(servers=(listing,))
    await until(client, lambda found: found.get("big", {}).get("state") == "ready")
    list_file.write(servers=({**listing, "concurrency": 5},))
    slots: set[int] = set()
    async with asyncio.timeout(10):
        while slots != {5}:
            slots = {one["slots"] for one in (await models(client)).values()}
            assert slots, "the model vanished"


async def test_a_model_can_move_to_another_kind_of_entry(
    list_file: ListFile, client: httpx.AsyncClient, server: ModelServer, other: ModelServer
) -> None:
    list_file.write(entry(server))
    await until(client, lambda found: found.get("m", {}).get("state") == "ready")
    list_file.write(servers=({"name": "vllm", "urls": [other.url], "models": ["m"]},))
    await until(client, lambda found: found.get("m", {}).get("slots") == 8)
    assert (await answer(client, "m")).status_code == 200
    assert len(other.received) == 1


async def test_a_stream_outlives_the_entry_of_its_model(
    list_file: ListFile, client: httpx.AsyncClient
) -> None:
    async with model_server() as server:
        held = HeldResponses()
        server.behaviour = held
        list_file.write(entry(server))
        await until(client, lambda found: found.get("m", {}).get("state") == "ready")
        stream = asyncio.create_task(
            client.post("/v1/chat/completions", json=question("m", stream=True))
        )
        await server.wait_for(1)
        list_file.write()
        await until(client, lambda found: not found)
        held.released.set()
        assert HELLO[-1].decode() in (await stream).text


def test_the_list_is_in_one_place() -> None:
    content = {
        "model_list": "/run/lists/models.json",
        "models": [{"id": "m", "replicas": ["http://m:8000"]}],
    }
    with pytest.raises(ValueError, match="model_list: the models, routers and servers are in that"):
        GatewaySettings.model_validate(content)


def test_required_keys_that_are_missing_stop_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_file, "START_SECONDS", 0.1)
    with pytest.raises(SettingsError, match=r"api_keys\.json: cannot be read"):
        load_secrets(GatewaySettings(requires_keys=True), {"SECRETS_DIR": str(tmp_path)})
