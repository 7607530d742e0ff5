"""Three models in a container that holds one: through the gateway, and watched by the monitor."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from docker.models.containers import Container

from app.chat.settings import GatewaySettings
from app.monitor.checks.http_client import HttpClient
from app.monitor.checks.prober import Prober
from app.monitor.decisions.records import PendingRestart, RestartOutcome, RestartResult
from app.monitor.decisions.states import FAILED
from app.monitor.settings import Service, Settings
from app.monitor.watch import Watch
from tests.doubles.running_gateway import running, settings
from tests.integration.inference import Inference, address, wait_until_healthy
from tests.integration.models.conftest import SMOLLM2
from tests.integration.models.test_idle_sleep import memory

MODELS = ("a", "b", "c")
LIMIT = 480 * 2**20
SLOTS = 2


@pytest.fixture(scope="module")
def router(containers: Inference) -> Container:
    """The weights are read into memory: mapped files of several models would share it."""
    model = {
        "context": 4096,
        "slots": SLOTS,
        "files": [SMOLLM2],
        "options": ["--load-mode", "none"],
    }
    content = {"max_loaded": 1, "models": [{"name": name, **model} for name in MODELS]}
    return wait_until_healthy(
        containers.start(
            more_files={"model.json": json.dumps(content)},
            run={"mem_limit": LIMIT, "memswap_limit": LIMIT},
        )
    )


def gateway_settings(container: Container) -> GatewaySettings:
    models = [{"id": name, "slots": SLOTS} for name in MODELS]
    router = {"name": "r", "urls": [address(container)], "max_loaded": 1, "models": models}
    return settings(routers=[router], keep_alive={"first_comment": 0.2})


class NoRestart:
    """Records the restarts that the monitor requests."""

    def __init__(self) -> None:
        self.requested: list[str] = []

    async def restart(self, service: Service, pending: PendingRestart) -> RestartResult:
        self.requested.append(service.name)
        return RestartResult(RestartOutcome.REFUSED, "refused by the test")

    async def works(self) -> bool:
        return True


@asynccontextmanager
async def watched(container: Container, state: Path) -> AsyncIterator[tuple[Watch, NoRestart]]:
    """The monitor, which checks every second and restarts after the first failure."""
    service = {"name": "r", "kind": "inference", "url": address(container), "routes": True}
    configuration = Settings.model_validate(
        {
            "stack": "s",
            "interval": 1,
            "services": [service],
            "thresholds": {"fail_after": 1, "retry_interval": 1},
            "internal": {"state_dir": str(state)},
        }
    )
    client, restarter = HttpClient.create(), NoRestart()
    watch = Watch(configuration, Prober(client, configuration.thresholds), restarter)
    task = asyncio.create_task(watch.run())
    try:
        yield watch, restarter
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await client.close()


def oom_kills(container: Container) -> int:
    """Processes that the kernel killed because the container has too little memory."""
    files = "/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control"
    output = container.exec_run(["sh", "-c", f"cat {files} 2>/dev/null"]).output
    assert isinstance(output, bytes)
    text = output.decode()
    [count] = [line.split()[1] for line in text.splitlines() if line.startswith("oom_kill ")]
    return int(count)


async def first_token(client: httpx.AsyncClient, model: str) -> tuple[float, list[str]]:
    """Seconds until the first token of an answer, and all lines of the answer."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "Name a colour."}],
        "stream": True,
        "max_tokens": 8,
    }
    started, first, lines = time.monotonic(), 0.0, []
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            lines.append(line)
            if line.startswith("data:") and not first:
                first = time.monotonic() - started
    assert lines[-2] == "data: [DONE]", lines
    return first, lines


async def states(client: httpx.AsyncClient) -> list[str]:
    return [model["state"] for model in (await client.get("/status")).json()["models"]]


async def test_each_model_answers_in_turn_in_the_memory_of_one(
    router: Container, tmp_path: Path
) -> None:
    used = []
    async with (
        running(gateway_settings(router)) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
        watched(router, tmp_path) as (watch, restarter),
    ):
        async with asyncio.timeout(30):
            while await states(client) != ["asleep"] * 3:
                pass
        for model in (*MODELS, *MODELS):
            swapped, lines = await first_token(client, model)
            assert f': loading {{"model": "{model}"}}' in lines
            loaded, lines = await first_token(client, model)
            assert not [line for line in lines if line.startswith(": loading")]
            print(f"{model}: first token {swapped:.2f} s after a swap, {loaded:.2f} s loaded")
            used.append(await asyncio.to_thread(memory, router))
        async with asyncio.timeout(30):
            while await states(client) != ["asleep", "asleep", "ready"]:
                pass
        async with asyncio.timeout(30):
            while watch.counts["r"].checks <= len(used):
                await states(client)
        assert watch.counts["r"].failures == 0
        assert watch.records["r"].state not in FAILED
        assert restarter.requested == []
    assert max(used) < LIMIT < 2 * min(used), "it holds one model, and not two"
    assert oom_kills(router) == 0


async def test_all_models_at_once_are_answered_one_after_another(router: Container) -> None:
    async with (
        running(gateway_settings(router)) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        async with asyncio.timeout(30):
            while "loading" in await states(client):
                pass
        await asyncio.gather(*(first_token(client, model) for model in MODELS * 3))
    assert oom_kills(router) == 0


def test_it_stops_at_once_when_no_model_works(router: Container) -> None:
    router.stop(timeout=30)
    router.reload()
    assert router.attrs["State"]["ExitCode"] == 0
