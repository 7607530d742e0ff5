"""Requests that need no slot do not wait for generations, and leave the slots alone."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from aiohttp import web

from app.chat.apis.table import APIS
from tests.doubles.model_server import HeldResponses, ModelServer, ReceivedRequest
from tests.unit.chat.apis.test_table import CALLS

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
BESIDE = [api.path for api in APIS if not api.needs_slot]


@pytest.mark.parametrize("path", BESIDE)
async def test_it_is_answered_while_all_slots_are_busy(
    gateway: httpx.AsyncClient, server: ModelServer, path: str
) -> None:
    held = HeldResponses()

    async def behave(received: ReceivedRequest) -> web.StreamResponse:
        if received.path == CALLS[path].upstream:
            return web.json_response(CALLS[path].document)
        return await held(received)

    server.behaviour = behave
    chats = [asyncio.create_task(gateway.post("/v1/chat/completions", json=CHAT)) for _ in range(2)]
    await server.wait_for(2)
    answer = await asyncio.wait_for(gateway.post(path, **CALLS[path].request(model="m")), 5)
    assert answer.json() == CALLS[path].document
    held.released.set()
    assert [(await chat).status_code for chat in chats] == [200, 200]


async def test_many_at_once_wait_as_others_do(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    released = asyncio.Event()

    async def late(received: ReceivedRequest) -> web.StreamResponse:
        await released.wait()
        return web.json_response({"tokens": [1]})

    server.behaviour = late
    body = {"model": "m", "content": "Hi"}
    requests = [asyncio.create_task(gateway.post("/tokenize", json=body)) for _ in range(8)]
    await server.wait_for(4)
    status = (await gateway.get("/v1/models/m")).json()
    while status["queue"] < 4:
        status = (await gateway.get("/v1/models/m")).json()
    assert (status["busy"], status["queue"], len(server.received)) == (2, 4, 4)
    released.set()
    assert [(await request).status_code for request in requests] == [200] * 8
    assert (await gateway.get("/v1/models/m")).json()["busy"] == 0
