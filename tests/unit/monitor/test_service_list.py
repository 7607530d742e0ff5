"""Services that are added, changed and removed while the monitor runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.doubles.model_server import ModelServer, model_server

ROOT = Path(__file__).resolve().parents[3]


class RunningMonitor:
    """The monitor as a process, and its list of services."""

    def __init__(self, folder: Path, port: int, session: aiohttp.ClientSession) -> None:
        self.list = folder / "services.json"
        self.url = f"http://127.0.0.1:{port}"
        self._session = session

    def write(self, *services: dict[str, Any]) -> None:
        self.list.write_text(json.dumps({"services": services}), encoding="utf-8")

    async def text(self, path: str) -> str:
        async with self._session.get(self.url + path) as response:
            return await response.text()

    async def services(self) -> dict[str, dict[str, Any]]:
        status = json.loads(await self.text("/api/v1/status"))
        return {one["name"]: one for one in status["services"]}

    async def until(self, condition: Callable[[dict[str, dict[str, Any]]], object]) -> float:
        """Wait until the status fulfils a condition; returns the seconds that it took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    if condition(await self.services()):
                        return loop.time() - begun


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as one:
        yield one


def service(server: ModelServer, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "http", "url": f"{server.url}/health", **more}


@contextlib.asynccontextmanager
async def monitor(folder: Path, *services: dict[str, Any]) -> AsyncIterator[RunningMonitor]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with aiohttp.ClientSession() as session:
        one = RunningMonitor(folder, port, session)
        one.write(*services)
        config = {
            "stack": "dev",
            "interval": 1,
            "service_list": str(one.list),
            "restarts": {"enabled": False},
            "internal": {
                "host": "127.0.0.1",
                "port": port,
                "state_dir": str(folder),
                "admin_socket": str(folder / "monitor.sock"),
            },
        }
        path = folder / "monitor.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.monitor",
            cwd=ROOT,
            env={**os.environ, "MONITOR_CONFIG": str(path)},
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            yield one
            assert process.returncode is None
        finally:
            if process.returncode is None:
                process.terminate()
            assert await process.wait() == 0


async def test_services_come_and_go_and_the_others_keep_their_history(
    tmp_path: Path, server: ModelServer
) -> None:
    async with monitor(tmp_path, service(server, "phi")) as one:
        await one.until(lambda found: found.get("phi", {}).get("state") == "ok")
        since = (await one.services())["phi"]["since"]
        one.write(service(server, "phi"), service(server, "qwen", depends_on=["phi"]))
        assert await one.until(lambda found: found.get("qwen", {}).get("state") == "ok") < 5
        assert (await one.services())["phi"]["since"] == since
        assert 'service="qwen"' in await one.text("/metrics")
        one.write(service(server, "qwen"))
        assert await one.until(lambda found: [*found] == ["qwen"]) < 5
        assert 'service="phi"' not in await one.text("/metrics")
        assert "phi" not in await one.text("/")
        assert "No such service" in await one.text("/service/phi")


async def test_a_monitor_without_services_is_healthy_and_gets_one_later(
    tmp_path: Path, server: ModelServer
) -> None:
    async with monitor(tmp_path) as one:
        await one.until(lambda found: not found)
        assert json.loads(await one.text("/health"))["status"] == "ok"
        assert "<html" in await one.text("/")
        one.write(service(server, "phi"))
        await one.until(lambda found: found.get("phi", {}).get("state") == "ok")


async def test_a_changed_service_is_checked_at_its_new_address(
    tmp_path: Path, server: ModelServer
) -> None:
    gone = {"name": "phi", "kind": "http", "url": "http://127.0.0.1:9/health"}
    async with monitor(tmp_path, gone) as one:
        await one.until(lambda found: found.get("phi", {}).get("state") not in (None, "unknown"))
        one.write(service(server, "phi"))
        await one.until(lambda found: found["phi"]["state"] == "ok")


async def test_an_invalid_list_changes_nothing_and_shows_in_the_metrics(
    tmp_path: Path, server: ModelServer
) -> None:
    async with monitor(tmp_path, service(server, "phi")) as one:
        await one.until(lambda found: found.get("phi", {}).get("state") == "ok")
        for broken in ('{"services": [', "{}"):
            one.list.write_text(broken, encoding="utf-8")
            async with asyncio.timeout(20):
                while "monitor_service_list_valid 0.0" not in await one.text("/metrics"):
                    pass
            assert [*await one.services()] == ["phi"]
            one.write(service(server, "phi"))
            async with asyncio.timeout(20):
                while "monitor_service_list_valid 1.0" not in await one.text("/metrics"):
                    pass
