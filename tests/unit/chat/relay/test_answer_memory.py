"""Answers without `stream` are collected within limits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.doubles.model_server import HELLO, ModelServer, ReceivedRequest, chunk
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

PATH = "/v1/chat/completions"
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
PROBABILITIES = chunk({"content": "a"}).replace(
    b'"finish_reason"',
    b'"logprobs": {"content": '
    + json.dumps([{"token": "a", "top_logprobs": [{"token": "b" * 50}] * 20}]).encode()
    + b'}, "finish_reason"',
)


async def test_an_answer_over_the_limit_is_the_clients_error_and_is_not_tried_again(
    server: ModelServer,
) -> None:
    async def send_probabilities(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        while not received.abandoned.is_set():
            await response.write(PROBABILITIES)
        return response

    server.behaviour = send_probabilities
    limits = {"answer_bytes": 100_000}
    configuration = settings(server.url, limits=limits, breaker={"failures": 1})
    async with running(configuration) as url, client_of(url) as client:
        response = await client.post(PATH, json={**CHAT, "logprobs": True, "top_logprobs": 20})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "answer_too_large"
        assert len(server.received) == 1
        async with asyncio.timeout(10):
            await server.received[0].abandoned.wait()
        server.behaviour = say
        # The replica is not to blame.
        assert (await client.post(PATH, json=CHAT)).status_code == 200


async def say(received: ReceivedRequest) -> web.StreamResponse:
    response = await received.stream()
    await response.write(b"".join(HELLO))
    return response


async def test_all_answers_share_a_limit_which_each_gives_back(server: ModelServer) -> None:
    held = asyncio.Event()

    async def fill_then_wait(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        await response.write(PROBABILITIES * 40)
        await held.wait()
        await response.write(b"".join(HELLO))
        return response

    server.behaviour = fill_then_wait
    limits = {"all_answers_bytes": 60 * len(PROBABILITIES)}
    async with running(settings(server.url, limits=limits)) as url, client_of(url) as client:
        tasks = [asyncio.create_task(client.post(PATH, json=CHAT)) for _ in range(2)]
        done, _ = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        assert (await refused).status_code == 429
        assert (await refused).json()["error"]["code"] == "gateway_full"
        held.set()
        assert sorted([(await task).status_code for task in tasks]) == [200, 429]
        assert (await client.post(PATH, json=CHAT)).status_code == 200
