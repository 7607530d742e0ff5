"""Resolves the host name of each endpoint, and updates the replicas of its pool.

While a container is replaced, its name resolves to the old and the new container. The name of a
service with several replicas (Docker Swarm's `dnsrr`) resolves to all of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from app.chat.fleet.endpoint import Endpoint
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.replica import UNKNOWN_HOST, Health, Replica, State
from app.chat.settings import HealthChecks

Watcher = Callable[[Replica], Coroutine[Any, Any, None]]


async def watch_endpoint(
    endpoint: Endpoint, pool: ModelPool, watch: Watcher, settings: HealthChecks
) -> None:
    """Keep the pool's replicas equal to the IP addresses of the endpoint, until cancelled.

    :param watch: runs for each replica as long as it exists.
    """
    if endpoint.host_to_resolve is None:
        await watch(endpoint.unresolved)
        return
    tasks: dict[Replica, asyncio.Task[None]] = {}
    misses = 0
    async with asyncio.TaskGroup() as group:
        while True:
            addresses = await resolve(endpoint.host_to_resolve, endpoint.port)
            misses = 0 if addresses else misses + 1
            # A failed DNS lookup alone is no reason to remove a replica that is ready.
            lost = misses >= settings.failures and not endpoint.ready
            if addresses or lost or not endpoint.resolved:
                removed, added = endpoint.update(addresses)
                if not addresses:
                    endpoint.unresolved.health = Health(State.DOWN, UNKNOWN_HOST)
                pool.change(removed, added)
                for replica in removed:
                    if task := tasks.pop(replica, None):
                        task.cancel()
                for replica in added:
                    if replica is not endpoint.unresolved:
                        tasks[replica] = group.create_task(watch(replica))
            await asyncio.sleep(settings.names_interval)


async def resolve(name: str, port: int) -> list[str]:
    """The IP addresses of a host, of one family; empty if it does not resolve.

    A server may have an address of each family, which must not count as two replicas.
    """
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    for family in (socket.AF_INET, socket.AF_INET6):
        if found := sorted({str(info[4][0]) for info in infos if info[0] == family}):
            return found
    return []
