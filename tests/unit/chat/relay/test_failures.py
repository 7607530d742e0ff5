"""Failures of a model server: what the client gets, and which requests are retried."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest
from aiohttp import web

from tests.doubles.model_server import (
    HELLO,
    ModelServer,
    ReceivedRequest,
    chunk,
    refuse,
    say_hello,
)
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**QUESTION, "stream": True}


async def cut_at_once(received: ReceivedRequest) -> web.StreamResponse:
    received.cut()
    raise ConnectionResetError


async def cut_after_two(received: ReceivedRequest) -> web.StreamResponse:
    response = await received.stream()
    await response.write(HELLO[0] + HELLO[1])
    await response.write(HELLO[2][:20])
    await asyncio.sleep(0.05)
    received.cut()
    raise ConnectionResetError


async def end_without_done(received: ReceivedRequest) -> web.StreamResponse:
    response = await received.stream()
    await response.write(HELLO[0] + HELLO[1])
    return response


@pytest.mark.parametrize("loss", [cut_after_two, end_without_done])
async def test_a_lost_stream_ends_in_an_error_event_without_done(
    gateway: httpx.AsyncClient, server: ModelServer, loss: object
) -> None:
    server.behaviour = loss  # type: ignore[assignment]
    response = await gateway.post("/v1/chat/completions", json=STREAM)
    assert response.status_code == 200
    events = [event for event in response.content.split(b"\n\n") if event]
    assert events[:2] == [HELLO[0].strip(), HELLO[1].strip()], "no incomplete event is passed on"
    assert len(events) == 3
    error = json.loads(events[2].removeprefix(b"data: "))["error"]
    assert error["code"] == "upstream_lost"
    assert error["type"] == "server_error"


async def test_a_lost_document_is_an_error_with_its_own_status(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    server.behaviour = cut_after_two
    response = await gateway.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_lost"


@pytest.mark.parametrize(
    "trouble", [cut_at_once, refuse(500, "x"), refuse(503, "busy"), refuse(429, "slow down")]
)
@pytest.mark.parametrize("question", [QUESTION, STREAM])
async def test_another_replica_answers_when_the_first_fails_before_a_token(
    server: ModelServer, other: ModelServer, trouble: object, question: dict[str, object]
) -> None:
    server.behaviour = trouble  # type: ignore[assignment]
    async with (
        running(settings(server.url, other.url)) as url,
        client_of(url) as client,
    ):
        for _ in range(4):
            response = await client.post("/v1/chat/completions", json=question)
            assert response.status_code == 200, response.text
            assert b"lo" in response.content
    assert server.received, "the failing replica was tried as well"


async def test_a_connection_that_the_server_closed_when_idle_is_not_a_failure(
    server: ModelServer,
) -> None:
    used = set()

    async def one_request_a_connection(received: ReceivedRequest) -> web.StreamResponse:
        transport = received.request.transport
        if transport in used:
            return await cut_at_once(received)
        used.add(transport)
        return await say_hello(received)

    server.behaviour = one_request_a_connection
    # A health check in between would open another connection.
    configured = settings(
        server.url, health={"interval": 60}, breaker={"failures": 1}, limits={"attempts": 1}
    )
    async with running(configured) as url, client_of(url) as client:
        while (await client.get("/ready")).status_code != 200:
            pass
        for _ in range(4):
            response = await client.post("/v1/chat/completions", json=STREAM)
            assert response.content == b"".join(HELLO)
    assert len(server.received) > len(used), "the connection was cut, and the request sent again"


async def test_after_a_loss_the_next_request_goes_to_a_healthy_replica(
    server: ModelServer, other: ModelServer
) -> None:
    server.behaviour = other.behaviour = cut_after_two
    async with (
        running(settings(server.url, other.url)) as url,
        client_of(url) as client,
    ):
        lost = await client.post("/v1/chat/completions", json=STREAM)
        assert b"upstream_lost" in lost.content
        dead, alive = (server, other) if server.received else (other, server)
        await dead.stop()
        alive.behaviour = say_hello
        response = await client.post("/v1/chat/completions", json=STREAM)
        assert response.content == b"".join(HELLO)


async def test_an_error_in_the_request_is_passed_on_and_not_retried(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    server.behaviour = refuse(
        400,
        {
            "code": 400,
            "message": "'messages' is required",
            "type": "invalid_request_error",
            "internal": "/srv/model.gguf",
        },
    )
    response = await gateway.post("/v1/chat/completions", json=STREAM)
    assert response.status_code == 400
    assert response.json()["error"] == {
        "message": "'messages' is required",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_request_error",
    }
    assert len(server.received) == 1


@pytest.mark.parametrize("trouble", [refuse(500, "x"), refuse(429, "slow down")])
async def test_without_another_replica_an_error_is_not_retried(
    gateway: httpx.AsyncClient, server: ModelServer, trouble: object
) -> None:
    server.behaviour = trouble  # type: ignore[assignment]
    response = await gateway.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code in (429, 502)
    assert len(server.received) == 1


async def test_a_lost_connection_is_retried_even_without_another_replica(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    async def break_once(received: ReceivedRequest) -> web.StreamResponse:
        if len(server.received) == 1:
            return await cut_at_once(received)
        return await say_hello(received)

    server.behaviour = break_once
    response = await gateway.post("/v1/chat/completions", json=STREAM)
    assert response.content == b"".join(HELLO)


async def test_the_text_of_a_server_error_is_not_passed_on(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    server.behaviour = refuse(500, {"message": "cannot open /srv/model.gguf on 10.0.0.3"})
    response = await gateway.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 502
    assert "srv" not in response.text
    assert "10.0.0.3" not in response.text
    assert server.url not in response.text


async def test_an_error_event_in_a_stream_is_passed_on_in_openais_form(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    async def fail_inside(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(HELLO[0])
        await asyncio.sleep(0.05)
        failure = b'data: {"error": {"code": 500, "message": "secret path"}}\n\n'
        await response.write(HELLO[1] + failure)
        return response

    server.behaviour = fail_inside
    response = await gateway.post("/v1/chat/completions", json=STREAM)
    assert response.content.startswith(HELLO[0] + HELLO[1])
    assert b"secret path" not in response.content
    assert b'"code": "upstream_lost"' in response.content


async def test_a_model_whose_server_stopped_is_down_with_a_reason(
    server: ModelServer,
) -> None:
    await server.stop()
    async with running(settings(server.url)) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=STREAM)
        while response.status_code != 503:
            response = await client.post("/v1/chat/completions", json=STREAM)
        assert response.json()["error"]["code"] == "model_down"
        assert "connection refused" in response.json()["error"]["message"]
        assert int(response.headers["retry-after"]) >= 1
        status = (await client.get("/status")).json()
        assert status["models"][0]["state"] == "down"
        assert status["models"][0]["reason"] == "connection refused"
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/health")).status_code == 200


async def test_health_checks_leave_no_open_connection(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    while not server.health_requests:
        await gateway.get("/ready")
    assert {headers["connection"] for headers in server.health_requests} == {"close"}


async def test_a_loading_model_is_reported_as_loading(server: ModelServer) -> None:
    server.health = (503, {"error": {"message": "Loading model", "type": "unavailable_error"}})
    async with running(settings(server.url)) as url, client_of(url) as client:
        response = await client.get("/v1/models")
        while response.json()["data"][0]["reason"] == "not checked yet":
            response = await client.get("/v1/models")
        assert response.json()["data"][0]["state"] == "loading"
        refused = await client.post("/v1/chat/completions", json=STREAM)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "model_loading"
        server.health = (200, {"status": "ok"})
        while (await client.get("/ready")).status_code != 200:
            pass
        answer = await client.post("/v1/chat/completions", json=STREAM)
        assert answer.status_code == 200


async def test_a_stalled_stream_is_ended(server: ModelServer) -> None:
    async def stall(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(HELLO[0])
        await received.abandoned.wait()
        return response

    server.behaviour = stall
    limits = {"silence_seconds": 0.1}
    async with running(settings(server.url, limits=limits)) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=STREAM)
        assert response.content.startswith(HELLO[0])
        assert b"upstream_stalled" in response.content


async def test_no_token_in_time_is_a_gateway_timeout(server: ModelServer) -> None:
    async def stall(received: ReceivedRequest) -> web.StreamResponse:
        await received.abandoned.wait()
        raise ConnectionResetError

    server.behaviour = stall
    limits = {"first_token_seconds": 0.1}
    async with running(settings(server.url, limits=limits)) as url, client_of(url) as client:
        response = await client.post("/v1/chat/completions", json=QUESTION)
        assert response.status_code == 504
        assert response.json()["error"]["code"] == "upstream_stalled"


async def test_a_replica_that_sends_tokens_is_not_down_while_its_health_check_hangs(
    server: ModelServer,
) -> None:
    async def chatter(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        while True:
            await response.write(HELLO[1])
            await asyncio.sleep(0.01)

    server.behaviour = chatter
    health = {"interval": 0.01, "interval_when_down": 0.01, "timeout": 3, "failures": 1}
    async with (
        running(settings(server.url, health=health)) as url,
        client_of(url) as client,
        client.stream("POST", "/v1/chat/completions", json=STREAM) as response,
    ):
        pieces = response.aiter_raw()
        await anext(pieces)
        while (await client.get("/ready")).status_code != 200:
            pass
        server.hang_health = True
        while server.hanging_checks < 2:
            await anext(pieces)
        assert (await client.get("/ready")).status_code == 200


@pytest.mark.parametrize(
    "payload",
    [
        {"choices": [7]},
        {"choices": 7},
        {"choices": [{"index": {"a": 1}}]},
        {"choices": [{"index": 0, "delta": "text"}]},
        {"choices": [{"index": 0, "message": "text"}, {"index": "1", "message": 2}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [None]}}]},
    ],
    ids=str,
)
async def test_a_stream_of_another_form_is_an_error_of_the_upstream(
    gateway: httpx.AsyncClient, server: ModelServer, payload: object
) -> None:
    async def damaged(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(b"data: " + json.dumps(payload).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    server.behaviour = damaged
    response = await gateway.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_lost"


@pytest.mark.parametrize("streams", [True, False])
async def test_an_event_that_is_too_large_is_not_blamed_on_the_replica(
    server: ModelServer, streams: bool
) -> None:
    """A client can ask for it, for example with many probabilities of each token."""

    async def much(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(chunk({"content": "x" * 5 * 2**20}))
        return response

    server.behaviour = much
    configuration = settings(server.url, breaker={"failures": 1})
    async with running(configuration) as url, client_of(url) as client:
        body = {**QUESTION, "stream": streams}
        failed = await client.post("/v1/chat/completions", json=body)
        assert "is too large" in failed.text
        assert len(server.received) == 1, "another replica would send the same"
        server.behaviour = say_hello
        answered = await client.post("/v1/chat/completions", json=body)
        assert "error" not in answered.text
        metrics = (await client.get("/metrics")).text
        assert re.findall(r"^gateway_breaker_open\{.*\} (.+)$", metrics, re.MULTILINE) == ["0.0"]


@pytest.mark.parametrize(
    "statistics",
    [
        {"usage": {"prompt_tokens": "7", "completion_tokens": [2]}},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 10**30}},
        {"timings": {"prompt_n": {}, "predicted_n": None, "predicted_per_second": "fast"}},
        {"timings": {"predicted_per_second": -1e300}},
    ],
    ids=str,
)
async def test_impossible_statistics_are_ignored(
    gateway: httpx.AsyncClient, server: ModelServer, statistics: dict[str, object]
) -> None:
    async def boast(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(HELLO[1])
        await response.write(chunk({}, "stop", **statistics))
        await response.write(b"data: [DONE]\n\n")
        return response

    server.behaviour = boast
    response = await gateway.post("/v1/chat/completions", json=STREAM)
    assert response.content.endswith(b"data: [DONE]\n\n")
    text = (await gateway.get("/metrics")).text
    assert 'gateway_requests_total{key="anonymous",model="m",outcome="complete"} 1.0' in text
    assert 'kind="prompt"' not in text


@pytest.mark.parametrize("wait", ["9" * 400, "²", "-1", "soon"])
async def test_an_impossible_retry_after_is_replaced(
    gateway: httpx.AsyncClient, server: ModelServer, wait: str
) -> None:
    server.behaviour = refuse(429, {"message": "slow down"}, **{"retry-after": wait})
    response = await gateway.post("/v1/chat/completions", json=QUESTION)
    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 3600


async def test_codes_that_a_server_invents_do_not_fill_the_metrics(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    for number in range(150):
        server.behaviour = refuse(400, {"message": "no", "code": f"code-{number}"})
        response = await gateway.post("/v1/chat/completions", json=QUESTION)
        assert response.json()["error"]["code"] == f"code-{number}"
    text = (await gateway.get("/metrics")).text
    assert 0 < text.count('outcome="code-') / 2 <= 100
    assert 'outcome="other"' in text
