"""A request that crashes model servers reaches two of them at most."""

from __future__ import annotations

import contextlib

import pytest
from aiohttp import web

from tests.doubles.model_server import HELLO, ModelServer, ReceivedRequest, model_server, say_hello
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

POISON = "crash"


def question(text: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": True}


async def crash_at_once(received: ReceivedRequest) -> web.StreamResponse:
    if received.body["messages"][0]["content"] != POISON:
        return await say_hello(received)
    received.cut()
    raise ConnectionResetError


async def crash_before_a_token(received: ReceivedRequest) -> web.StreamResponse:
    if received.body["messages"][0]["content"] != POISON:
        return await say_hello(received)
    response = await received.stream()
    await response.write(b": prompt\n\n" + HELLO[0][:10])
    received.cut()
    raise ConnectionResetError


@pytest.mark.parametrize("warm", [False, True], ids=["new connections", "reused connections"])
@pytest.mark.parametrize("crash", [crash_at_once, crash_before_a_token])
async def test_a_request_that_breaks_connections_is_sent_twice_at_most(
    crash: object, *, warm: bool
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers: list[ModelServer] = [
            await stack.enter_async_context(model_server()) for _ in range(4)
        ]
        for server in servers:
            server.behaviour = crash  # type: ignore[assignment]
        url = await stack.enter_async_context(
            running(settings(*(server.url for server in servers), limits={"attempts": 10}))
        )
        client = await stack.enter_async_context(client_of(url))
        while (await client.get("/status")).json()["models"][0]["slots"] != 8:
            pass
        if warm:
            # The least recently used replica is next, so each gets one.
            for number in range(len(servers)):
                await client.post("/v1/chat/completions", json=question(str(number)))
        answer = await client.post("/v1/chat/completions", json=question(POISON))
        assert b"upstream_unreachable" in answer.content
        crashes = [
            one
            for server in servers
            for one in server.received
            if one.body["messages"][0]["content"] == POISON
        ]
        assert len(crashes) == 2
        answer = await client.post("/v1/chat/completions", json=question("Hi"))
        assert answer.content.endswith(b"data: [DONE]\n\n")
