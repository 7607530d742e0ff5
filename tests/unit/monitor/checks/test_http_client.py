"""HTTP requests: each waits for its own time limit, and for no other."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from app.monitor.checks.http_client import HttpClient
from app.monitor.watch import PARALLEL_CHECKS
from tests.doubles.watched_service import serving


@pytest.fixture
async def http_client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpClient]:
    """With a short default timeout of aiohttp, as its 300 s are short for a long restart."""
    monkeypatch.setattr("aiohttp.client.DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    http_client = HttpClient.create()
    yield http_client
    await http_client.close()


async def test_a_long_response_time_is_allowed(http_client: HttpClient) -> None:
    async with serving(slow=None) as service:
        asking = asyncio.create_task(http_client.get(f"{service.url}/slow", 0.5))
        done, _ = await asyncio.wait([asking], timeout=0.3)
        assert not done
        await asyncio.gather(asking, return_exceptions=True)


async def test_many_open_requests_do_not_delay_another(http_client: HttpClient) -> None:
    async with serving(hang=None, ok=(200, {})) as service:
        waiting = [
            asyncio.create_task(http_client.get(f"{service.url}/hang", 30))
            for _ in range(PARALLEL_CHECKS + 20)
        ]
        await service.wait_for_request("/hang", PARALLEL_CHECKS)
        assert (await http_client.get(f"{service.url}/ok", 5)).status == 200
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
