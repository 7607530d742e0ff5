"""A changed key file is used without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.chat.access.key_file import watched_keys
from app.chat.access.keys import new_key
from app.chat.settings import KeyRecord, Secrets
from app.shared.settings_file import SettingsError
from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.access.test_admission import QUESTION
from tests.unit.chat.conftest import client_of


class KeyFolder:
    """A gateway's secrets folder, and a client of that gateway."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "api_keys.json"
        self.client = httpx.AsyncClient()

    def write(self, *records: KeyRecord) -> None:
        content = {"keys": [record.model_dump(mode="json") for record in records]}
        self.path.write_text(json.dumps(content))

    @contextlib.asynccontextmanager
    async def gateway(self, server: ModelServer) -> AsyncIterator[None]:
        environ = {"SECRETS_DIR": str(self.path.parent)}
        keys = watched_keys(required=False, environ=environ, seconds=0.01)
        secrets = Secrets(api_keys=keys.first())
        async with (
            running(settings(server.url), secrets, keys=keys) as url,
            client_of(url) as self.client,
        ):
            yield

    async def status(self, key: str) -> int:
        headers = {"authorization": f"Bearer {key}"}
        url = "/v1/chat/completions"
        return (await self.client.post(url, json=QUESTION, headers=headers)).status_code

    async def until(self, key: str, status: int) -> None:
        async with asyncio.timeout(10):
            while await self.status(key) != status:
                pass


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path)


async def test_added_and_removed_keys_count_at_once(folder: KeyFolder, server: ModelServer) -> None:
    (alice, first), (bob, second) = new_key("alice"), new_key("bob")
    folder.write(first)
    async with folder.gateway(server):
        assert await folder.status(bob) == 401
        folder.write(first, second)
        await folder.until(bob, 200)
        folder.write(second)
        await folder.until(alice, 401)
        assert await folder.status(bob) == 200


async def test_a_changed_limit_keeps_what_the_key_used(
    folder: KeyFolder, server: ModelServer
) -> None:
    key, record = new_key("alice", rpm=1)
    folder.write(record)
    async with folder.gateway(server):
        assert await folder.status(key) == 200
        folder.write(record.model_copy(update={"rpm": 2}))
        await folder.until(key, 200)
        assert await folder.status(key) == 429


@pytest.mark.parametrize("content", [b"", b"{", b'{"keys": []}', b"\xff", None])
async def test_an_invalid_file_keeps_the_keys(
    folder: KeyFolder, server: ModelServer, content: bytes | None
) -> None:
    (alice, first), (bob, second) = new_key("alice"), new_key("bob")
    folder.write(first)
    async with folder.gateway(server):
        if content is None:
            folder.path.unlink()
        else:
            folder.path.write_bytes(content)
        async with asyncio.timeout(10):
            metric = 'gateway_file_valid{file="api_keys.json"} 0.0'
            while metric not in (await folder.client.get("/metrics")).text:
                pass
        assert await folder.status(alice) == 200
        assert await folder.status("sk-other") == 401
        folder.write(first, second)
        await folder.until(bob, 200)


async def test_a_gateway_without_keys_needs_them_once_there_is_a_file(
    folder: KeyFolder, server: ModelServer
) -> None:
    alice, record = new_key("alice")
    async with folder.gateway(server):
        assert await folder.status("sk-any") == 200
        folder.write(record)
        await folder.until("sk-any", 401)
        assert await folder.status(alice) == 200


def test_a_required_file_must_exist(tmp_path: Path) -> None:
    keys = watched_keys(required=True, environ={"SECRETS_DIR": str(tmp_path)})
    with pytest.raises(SettingsError, match=r"api_keys\.json: cannot be read"):
        keys.first(patience=0)
