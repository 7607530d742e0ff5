"""Request ids, log lines, metrics, and the state of the models."""

from __future__ import annotations

import json
import logging

import httpx
import pytest

from app.shared.json_log import JsonLines
from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

SECRET_WORDS = "the-secret-plan"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": SECRET_WORDS}]}
STREAM = {**QUESTION, "stream": True}


async def test_the_request_id_of_a_client_reaches_the_model_server(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    response = await gateway.post(
        "/v1/chat/completions", json=STREAM, headers={"x-request-id": "abc-1"}
    )
    assert response.headers["x-request-id"] == "abc-1"
    assert server.received[0].headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("unsafe", ["", "a b", "x" * 65, '"}'])
async def test_an_unsafe_id_is_replaced(gateway: httpx.AsyncClient, unsafe: str) -> None:
    response = await gateway.get("/v1/models", headers={"x-request-id": unsafe})
    assert response.headers["x-request-id"] not in ("", unsafe)


async def test_a_log_line_has_all_data_of_a_request_but_no_content(
    gateway: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    headers = {"authorization": "Bearer sk-private"}
    await gateway.post("/v1/chat/completions?q=1", json=STREAM, headers=headers)
    lines = [record for record in caplog.records if record.getMessage() == "request"]
    while not lines:
        await gateway.get("/health")
        lines = [record for record in caplog.records if record.getMessage() == "request"]
    fields = json.loads(JsonLines().format(lines[0]))
    assert fields["status"] == 200
    assert fields["model"] == "m"
    assert fields["outcome"] == "complete"
    assert fields["completion_tokens"] == 2
    assert fields["prompt_tokens"] == 7
    assert fields["tokens_per_second"] == 40.0
    assert fields["first_token_ms"] > 0
    assert fields["replica"] == "m-1"
    app_lines = [record for record in caplog.records if record.name.startswith("app.chat")]
    everything = "\n".join(JsonLines().format(record) for record in app_lines)
    for private in (SECRET_WORDS, "Hello", "sk-private", "q=1"):
        assert private not in everything


async def test_metrics_count_requests_tokens_and_times_per_model_and_key(
    gateway: httpx.AsyncClient,
) -> None:
    await gateway.post("/v1/chat/completions", json=STREAM)
    await gateway.post("/v1/chat/completions", json=QUESTION)
    await gateway.post("/v1/chat/completions", json={**QUESTION, "model": "nope"})
    text = (await gateway.get("/metrics")).text
    for line in (
        'gateway_requests_total{key="anonymous",model="m",outcome="complete"} 2.0',
        'gateway_tokens_total{key="anonymous",kind="completion",model="m"} 4.0',
        'gateway_tokens_total{key="anonymous",kind="prompt",model="m"} 14.0',
        'gateway_first_token_seconds_count{model="m"} 2.0',
        'gateway_queue_wait_seconds_count{model="m"} 2.0',
        'gateway_tokens_per_second_count{model="m"} 2.0',
        'gateway_queue_length{model="m"} 0.0',
        'gateway_in_flight{model="m",replica="m-1"} 0.0',
        'gateway_breaker_open{model="m",replica="m-1"} 0.0',
        'gateway_requests_total{key="anonymous",model="none",outcome="model_not_found"} 1.0',
    ):
        assert line in text.splitlines(), line


@pytest.mark.parametrize("header", ["cf-ray", "cf-connecting-ip"])
async def test_metrics_are_not_shown_through_a_tunnel(
    gateway: httpx.AsyncClient, header: str
) -> None:
    response = await gateway.get("/metrics", headers={header: "x"})
    assert response.status_code == 404
    assert "gateway_" not in response.text


async def test_the_list_of_models_has_openais_fields_and_the_state_of_each(
    server: ModelServer,
) -> None:
    placeholder = {"model": "tiny", "reason": "no model hub could be reached"}
    model = {
        "id": "phi",
        "description": "Phi",
        "context": 4096,
        "slots": 2,
        "replicas": [server.url],
        "placeholder": placeholder,
    }
    async with running(settings(models=[model])) as url, client_of(url) as client:
        while (await client.get("/ready")).status_code != 200:
            pass
        (entry,) = (await client.get("/v1/models")).json()["data"]
        assert entry.pop("created") > 0
        assert entry == {
            "id": "phi",
            "object": "model",
            "owned_by": "llm-stack",
            "description": "Phi",
            "tasks": ["chat", "completion"],
            "context": 4096,
            # The model server reports none.
            "capabilities": {
                "tools": None,
                "vision": None,
                "audio": None,
                "video": None,
                "thinking": None,
                "embeddings": False,
                "rerank": False,
            },
            "external": False,
            "placeholder": placeholder,
            "state": "ready",
            "reason": None,
            "available": True,
            "slots": 2,
            "busy": 0,
            "queue": 0,
        }
        assert (await client.get("/v1/models/phi")).json()["id"] == "phi"
        status = await client.get("/status")
        assert status.json()["models"][0]["replicas"][0]["breaker"] == "closed"
        assert server.url not in status.text, "URLs are not public"
