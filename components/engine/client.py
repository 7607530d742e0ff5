"""Where the Docker engine of a stack is, and a client of it for what the provider does not offer.

Docker's client takes longer to import than all of this project. An update that changes nothing
needs no client (components/engine/info.py goes without), so nothing that is imported at each run
imports it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_SOCKET = "/var/run/docker.sock"
DEFAULT_HOST = f"unix://{DEFAULT_SOCKET}"
# Seconds, as in Docker's client.
ANSWER_TIMEOUT = 60

# Of our own: each of the event loop's threads waits for a resource that the engine is making. Where
# as many wait for a gate as there are threads, none would be left by which a gate could open.
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="docker-engine")

Answer = TypeVar("Answer")


def shell_host() -> str:
    """The engine that Docker's own client talks to: what DOCKER_HOST names, else the default."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


def docker_client(host: str | None, timeout: int = ANSWER_TIMEOUT) -> DockerClient:
    """A client of the engine; over SSH by the machine's own `ssh`.

    :param host: None for the one that DOCKER_HOST names.
    :param timeout: seconds for each answer.
    """
    from docker import DockerClient

    if host is None:
        return DockerClient.from_env(timeout=timeout, use_ssh_client=True)
    return DockerClient(base_url=host, timeout=timeout, use_ssh_client=True)


def query(
    host: str | None,
    question: Callable[[DockerClient], Answer],
    timeout: int = ANSWER_TIMEOUT,
) -> Answer | None:
    """What the engine answers; None where none does, of which the provider complains."""
    from docker.errors import DockerException

    try:
        client = docker_client(host, timeout)
        try:
            return question(client)
        finally:
            client.close()
    except (DockerException, OSError):
        return None


async def run_blocking(question: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
    """The answer of a function that waits for the engine, while the program goes on."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, partial(question, *args, **options))
