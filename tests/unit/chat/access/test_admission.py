"""Authentication and limits before the body of a request is read; shares of several keys."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from app.chat.access.fair_shares import FairShares
from app.chat.access.keys import new_key
from app.chat.fleet.fair_queue import Share
from app.chat.settings import KeyFile, Secrets
from tests.doubles.model_server import HeldResponses, ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.access.raw_requests import connection, head, status_of
from tests.unit.chat.conftest import client_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
MIB = 2**20


def keys_of(*names: str, **limits: object) -> tuple[dict[str, str], Secrets]:
    """A key for each name, with the same limits."""
    made = {name: new_key(name, **limits) for name in names}
    file = KeyFile(keys=tuple(record for _, record in made.values()))
    return {name: key for name, (key, _) in made.items()}, Secrets(api_keys=file)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/unknown"])
async def test_a_request_without_a_key_is_refused_before_its_body_is_read(
    server: ModelServer, path: str
) -> None:
    _, secrets = keys_of("alice")
    async with running(settings(server.url), secrets) as url, connection(url) as (reader, writer):
        writer.write(head(5 * MIB, path=path))
        assert await status_of(reader) == 401


async def test_requests_over_the_limit_per_minute_are_refused_before_their_bodies_are_read(
    server: ModelServer,
) -> None:
    keys, secrets = keys_of("alice", rpm=1)
    async with running(settings(server.url), secrets) as url:
        async with client_of(url, authorization=f"Bearer {keys['alice']}") as client:
            assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200
        async with connection(url) as (reader, writer):
            writer.write(head(5 * MIB, keys["alice"]))
            assert await status_of(reader) == 429


async def test_a_key_with_one_request_at_once_cannot_fill_the_memory_for_bodies(
    server: ModelServer,
) -> None:
    keys, secrets = keys_of("greedy", "modest", concurrency=1)
    limits = {"all_bodies_bytes": 2 * MIB, "body_bytes": MIB}
    async with (
        running(settings(server.url, limits=limits), secrets) as url,
        AsyncExitStack() as all,
    ):
        statuses = []
        for number in range(4):
            reader, writer = await all.enter_async_context(connection(url))
            writer.write(head(MIB, keys["greedy"]) + b"x" * (MIB - 1))
            await writer.drain()
            if number:
                statuses.append(await status_of(reader))
        assert statuses == [429, 429, 429]
        async with client_of(url, authorization=f"Bearer {keys['modest']}") as client:
            assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200


async def test_bodies_of_one_key_leave_memory_for_those_of_another(server: ModelServer) -> None:
    keys, secrets = keys_of("greedy", "modest")
    limits = {"all_bodies_bytes": 2 * MIB, "body_bytes": 4 * MIB}
    async with (
        running(settings(server.url, limits=limits), secrets) as url,
        AsyncExitStack() as all,
    ):
        refused = []
        for _ in range(4):
            reader, writer = await all.enter_async_context(connection(url))
            writer.write(head(MIB, keys["greedy"]) + b"x" * (MIB - 1))
            await writer.drain()
            refused.append(asyncio.create_task(status_of(reader)))
        done, open_ = await asyncio.wait(refused, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {429}
        question = {"model": "m", "messages": [{"role": "user", "content": "x" * 200_000}]}
        async with client_of(url, authorization=f"Bearer {keys['modest']}") as client:
            assert (await client.post("/v1/chat/completions", json=question)).status_code == 200
        for task in open_:
            task.cancel()


async def test_open_requests_of_one_key_leave_some_for_another(server: ModelServer) -> None:
    keys, secrets = keys_of("greedy", "modest")
    configuration = settings(server.url, limits={"open_requests": 10})
    async with running(configuration, secrets) as url, AsyncExitStack() as all:
        statuses = []
        for number in range(12):
            reader, writer = await all.enter_async_context(connection(url))
            writer.write(head(100, keys["greedy"]))
            await writer.drain()
            if number >= 9:
                statuses.append(await status_of(reader))
        assert statuses == [429] * 3
        async with client_of(url, authorization=f"Bearer {keys['modest']}") as client:
            assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200


async def test_a_queue_full_of_one_keys_requests_still_takes_another_keys(
    server: ModelServer,
) -> None:
    keys, secrets = keys_of("greedy", "modest")
    server.behaviour = held = HeldResponses()
    configuration = settings(server.url, slots=1, limits={"queue": 3})
    async with running(configuration, secrets) as url, client_of(url) as client:

        def ask(name: str) -> asyncio.Task[httpx.Response]:
            headers = {"authorization": f"Bearer {keys[name]}"}
            post = client.post("/v1/chat/completions", json=QUESTION, headers=headers)
            return asyncio.create_task(post)

        greedy = [ask("greedy") for _ in range(5)]
        first_refused, _ = await asyncio.wait(greedy, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status_code for task in first_refused] == [429]
        modest = ask("modest")
        while sum(task.done() for task in greedy) < 2:
            await asyncio.wait(
                [task for task in greedy if not task.done()], return_when=asyncio.FIRST_COMPLETED
            )
        held.released.set()
        assert (await modest).status_code == 200
        statuses = sorted([(await task).status_code for task in greedy])
        assert statuses == [200, 200, 200, 429, 429]


def test_four_greedy_owners_get_equal_shares_and_one_more_finds_room() -> None:
    shares = FairShares(1000)
    owners = [Share(name) for name in ("a", "b", "c", "d")]
    held = dict.fromkeys(owners, 0)
    while any([shares.take(owner) for owner in owners]):
        held = {owner: shares._by_owner[owner.owner] for owner in owners}
    assert max(held.values()) - min(held.values()) <= 1
    assert sum(held.values()) > 900
    assert shares.take(Share("e"), 20)


def test_what_was_given_back_can_be_taken_again_and_leaves_nothing_behind() -> None:
    shares = FairShares(10)
    for number in range(1000):
        share = Share(f"address {number}")
        assert shares.take(share, 5)
        shares.give_back(share, 5)
    assert shares.held == 0
    assert not shares._by_owner
    assert not shares.take(Share("x"), 11)
