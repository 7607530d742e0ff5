"""Calls of the Docker client in threads while the program waits for resources."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from components.engine.client import run_blocking


def test_calls_run_although_every_thread_of_the_loop_waits_for_a_resource() -> None:
    """As in a stack with as many gates as the SDK has threads: each gate occupies one."""
    made = threading.Event()

    async def program() -> str:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        resource = loop.run_in_executor(None, made.wait)
        try:
            async with asyncio.timeout(10):
                return await run_blocking(str.upper, "healthy")
        finally:
            made.set()
            await resource

    assert asyncio.run(program()) == "HEALTHY"
