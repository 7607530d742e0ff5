"""One HTTP question: its own limit of time, and nothing else, decides how long it is waited for."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from app.monitor.checks.fetch import Fetcher
from app.monitor.decisions.watch import PARALLEL_CHECKS
from tests.doubles.watched_service import serving


@pytest.fixture
async def fetcher(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fetcher]:
    """With a default time-out of aiohttp that is over soon, as its 300 s are in a long restart."""
    monkeypatch.setattr("aiohttp.client.DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    fetcher = Fetcher.create()
    yield fetcher
    await fetcher.close()


async def test_a_long_wait_is_not_cut_short(fetcher: Fetcher) -> None:
    async with serving(slow=None) as fake:
        asking = asyncio.create_task(fetcher.get(f"{fake.url}/slow", 0.5))
        done, _ = await asyncio.wait([asking], timeout=0.3)
        assert not done
        await asyncio.gather(asking, return_exceptions=True)


async def test_many_that_wait_do_not_keep_another_from_its_answer(fetcher: Fetcher) -> None:
    async with serving(hang=None, ok=(200, {})) as fake:
        waiting = [
            asyncio.create_task(fetcher.get(f"{fake.url}/hang", 30))
            for _ in range(PARALLEL_CHECKS + 20)
        ]
        await fake.is_asked("/hang", PARALLEL_CHECKS)
        assert (await fetcher.get(f"{fake.url}/ok", 5)).status == 200
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
