"""An exception that nothing expects: the client gets an error, and nothing stays occupied."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from app.chat.access.keys import new_key
from app.chat.settings import KeyFile, Secrets
from tests.doubles.model_server import HeldResponses, ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 60}
PLACES = {
    "before a slot": "app.chat.api.generation.Exchange",
    "with a slot": "app.chat.fleet.model_client.ModelClient.open",
    "in the answer": "app.chat.relay.exchange.EventRelay",
}


def explode(*_: object, **__: object) -> None:
    raise RuntimeError("secret detail")


def is_internal_error(response: httpx.Response) -> bool:
    error = response.json()["error"]
    return (error["code"], error["type"]) == ("internal", "server_error")


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if one.exc_info]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_the_client_gets_an_error_and_its_slot_and_tokens_are_free_again(
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    key, record = new_key("team", concurrency=1, tokens_per_minute=100)
    secrets = Secrets(KeyFile(keys=(record,)))
    async with (
        running(settings(server.url, slots=1), secrets) as url,
        client_of(url, authorization=f"Bearer {key}") as client,
    ):
        with monkeypatch.context() as broken:
            broken.setattr(place, explode)
            failed = await client.post(
                "/v1/chat/completions", json=CHAT, headers={"x-request-id": "request-1"}
            )
        assert failed.status_code == 500
        assert is_internal_error(failed)
        assert failed.headers["x-request-id"] == "request-1"
        assert "secret detail" not in failed.text
        answered = await client.post("/v1/chat/completions", json=CHAT)
        assert answered.status_code == 200, answered.text
        metrics = (await client.get("/metrics")).text
    (logged,) = tracebacks(caplog)
    assert logged.__dict__["fields"]["request_id"] == "request-1"
    assert 'gateway_requests_total{key="team",model="' in metrics
    assert 'outcome="internal"} 1.0' in metrics


async def test_a_stream_that_has_begun_ends_with_an_error_event(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaviour = held = HeldResponses()
    configuration = settings(server.url, slots=1, keep_alive={"first_comment": 0.01})
    async with running(configuration) as url, client_of(url) as client:
        with monkeypatch.context() as broken:
            body: dict[str, Any] = {**CHAT, "stream": True}
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                assert response.status_code == 200
                broken.setattr("app.chat.relay.exchange.EventRelay", explode)
                held.released.set()
                content = (await response.aread()).decode()
        event = json.loads(content.rstrip().rpartition("data: ")[2])
        assert event["error"]["code"] == "internal"
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert len(tracebacks(caplog)) == 1
