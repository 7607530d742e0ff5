"""Resolves the host name of each endpoint, and updates the servers of its provider.

While a container is replaced, its name resolves to the old and the new container. The name of a
service with several replicas (Docker Swarm's `dnsrr`) resolves to all of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol

from app.chat.fleet.endpoint import Endpoint
from app.chat.fleet.server import UNKNOWN_HOST, Health, Server, State
from app.chat.settings import HealthChecks

Watcher = Callable[[Server], Coroutine[Any, Any, None]]


class Servers(Protocol):
    """What has the servers of an endpoint."""

    def change(self, removed: Collection[Server], added: Sequence[Server]) -> None:
        """Remove and add servers."""


async def watch_endpoint(
    endpoint: Endpoint, servers: Servers, watch: Watcher, settings: HealthChecks
) -> None:
    """Keep the servers equal to the IP addresses of the endpoint, until cancelled.

    :param watch: runs for each server as long as it exists.
    """
    if endpoint.host_to_resolve is None:
        await watch(endpoint.unresolved)
        return
    tasks: dict[Server, asyncio.Task[None]] = {}
    misses = 0
    async with asyncio.TaskGroup() as group:
        while True:
            addresses = await resolve(endpoint.host_to_resolve, endpoint.port)
            misses = 0 if addresses else misses + 1
            # A failed DNS lookup alone does not remove a server that is ready.
            lost = misses >= settings.failures and not endpoint.ready
            if addresses or lost or not endpoint.resolved:
                removed, added = endpoint.update(addresses)
                if not addresses:
                    endpoint.unresolved.health = Health(State.DOWN, UNKNOWN_HOST)
                servers.change(removed, added)
                for server in removed:
                    if task := tasks.pop(server, None):
                        task.cancel()
                for server in added:
                    if server is not endpoint.unresolved:
                        tasks[server] = group.create_task(watch(server))
            await asyncio.sleep(settings.names_interval)


async def resolve(name: str, port: int) -> list[str]:
    """The IP addresses of a host, of one family; empty if it does not resolve.

    A server may have an address of each family, which must not count as two servers.
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
