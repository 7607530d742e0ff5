"""Bodies that no model can use are not read."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.chat.access.keys import new_key
from app.chat.settings import KeyFile, Secrets
from tests.doubles.model_server import ModelServer, model_server
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

CHAT = "/v1/chat/completions"
TEXT_ONLY = {"vision": False, "audio": False, "video": False}
CONTEXT = 512
# Of the context, and 256 KiB for what is not part of the prompt.
MOST = CONTEXT * 16 + 256 * 1024


def props(context: int, **modalities: bool) -> dict[str, Any]:
    return {
        "modalities": {**TEXT_ONLY, **modalities},
        "default_generation_settings": {"n_ctx": context},
    }


async def known(client: httpx.AsyncClient, model: str = "m") -> None:
    while (await client.get(f"/v1/models/{model}")).json()["context"] is None:
        pass


@asynccontextmanager
async def text_only(server: ModelServer, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with a model of 512 tokens that reads no images, when it is known."""
    server.props = props(CONTEXT)
    async with running(settings(server.url, **more)) as url, client_of(url) as client:
        await known(client)
        yield client


def body_of(size: int, model: str = "m") -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": ""}]}
    body["messages"] = [{"role": "user", "content": "x" * (size - len(json.dumps(body)))}]
    return json.dumps(body).encode()


def refused(response: httpx.Response, context: int = CONTEXT) -> bool:
    error = response.json()["error"]
    return (response.status_code, error["code"], error["n_ctx"]) == (
        400,
        "context_length_exceeded",
        context,
    )


async def test_a_declared_length_is_refused_before_the_body_arrives(server: ModelServer) -> None:
    async with text_only(server) as client:
        address = urlsplit(str(client.base_url))
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {8 * 2**20}\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n")
        writer.close()
        await writer.wait_closed()
    assert answer.split()[1] == b"400"


async def test_a_body_without_a_length_is_stored_up_to_the_cap(server: ModelServer) -> None:
    async def spaces() -> AsyncIterator[bytes]:
        for _ in range(512):
            yield b" " * 8192

    # Another limit would refuse it, if it was stored.
    async with text_only(server, limits={"all_bodies_bytes": 2**20}) as client:
        assert refused(await client.post(CHAT, content=spaces()))


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_the_largest_body_is_answered_and_one_byte_more_is_refused(
    server: ModelServer, encoding: str
) -> None:
    compress = gzip.compress if encoding == "gzip" else bytes
    async with text_only(server) as client:
        for size, fits in ((MOST, True), (MOST + 1, False)):
            response = await client.post(
                CHAT,
                content=compress(body_of(size)),
                headers={"content-type": "application/json", "content-encoding": encoding},
            )
            assert (response.status_code == 200) is fits, response.text
    assert refused(response)


async def test_the_largest_context_that_the_key_allows_is_the_cap(
    server: ModelServer, other: ModelServer
) -> None:
    server.props, other.props = props(CONTEXT), props(64 * 1024)
    small, small_record = new_key("small", models=["m"])
    large, large_record = new_key("large")
    models = [{"id": "m", "replicas": [server.url]}, {"id": "n", "replicas": [other.url]}]
    secrets = Secrets(KeyFile(keys=(small_record, large_record)))
    async with running(settings(models=models), secrets) as url:
        async with client_of(url, authorization=f"Bearer {large}") as client:
            await known(client)
            await known(client, "n")
            assert (await client.post(CHAT, content=body_of(10**6, "n"))).status_code == 200
            # Of the model itself, after the body was read.
            assert refused(await client.post(CHAT, content=body_of(10**6)))
        async with client_of(url, authorization=f"Bearer {small}") as client:
            assert refused(await client.post(CHAT, content=body_of(10**6, "n")))


async def test_images_and_lists_of_texts_have_no_cap() -> None:
    async with model_server() as server:
        server.props = props(CONTEXT, vision=True)
        tasks = ("chat", "embedding")
        async with running(settings(server.url, tasks=tasks)) as url, client_of(url) as client:
            await known(client)
            image = {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64," + "A" * 10**6},
            }
            messages = [{"role": "user", "content": [image]}]
            texts = {"model": "m", "input": ["x" * 4000] * 200}
            with_image = await client.post(CHAT, json={"model": "m", "messages": messages})
            embedded = await client.post("/v1/embeddings", json=texts)
    assert (with_image.status_code, embedded.status_code) == (200, 200)
