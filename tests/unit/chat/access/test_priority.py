"""The header with which a client gives one of its requests a lower priority."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.doubles.model_server import HeldResponses, ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

CHAT = "/v1/chat/completions"


def question(text: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


async def test_a_request_of_low_priority_waits_for_one_that_came_later(
    server: ModelServer,
) -> None:
    server.behaviour = held = HeldResponses()
    async with running(settings(server.url, slots=1)) as url, client_of(url) as client:

        async def queued(number: int) -> None:
            while (await client.get("/status")).json()["models"][0]["queue"] < number:
                pass

        async with asyncio.TaskGroup() as asking:
            asking.create_task(client.post(CHAT, json=question("running")))
            await server.wait_for(1)
            low = {"x-priority": "low"}
            asking.create_task(client.post(CHAT, json=question("title"), headers=low))
            await queued(1)
            asking.create_task(client.post(CHAT, json=question("person")))
            await queued(2)
            held.released.set()
    asked = [one.body["messages"][0]["content"] for one in server.received]
    assert asked == ["running", "person", "title"]


@pytest.mark.parametrize("priority", ["high", "100", "", "LOW"])
async def test_another_priority_is_refused(gateway: httpx.AsyncClient, priority: str) -> None:
    refused = await gateway.post(CHAT, json=question("Hi"), headers={"x-priority": priority})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "x-priority")
    assert "low, normal" in error["message"]
