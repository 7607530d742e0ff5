"""Finds the servers behind each configured address: a name may stand for several, and they change.

While a container is replaced, its name leads to the old one and to the new one; a name of several
replicas (Docker Swarm's `dnsrr`) always leads to all of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from app.chat.fleet.pool import ModelPool
from app.chat.fleet.replica import NAME_NOT_KNOWN, Health, Replica, State
from app.chat.fleet.site import Site
from app.chat.settings import HealthChecks

Watcher = Callable[[Replica], Coroutine[Any, Any, None]]


async def follow(site: Site, pool: ModelPool, watch: Watcher, settings: HealthChecks) -> None:
    """Keep the pool's replicas equal to what the site's name stands for, each of them watched.

    Ends only when it is cancelled.
    """
    if site.name is None:
        await watch(site.unresolved)
        return
    tasks: dict[Replica, asyncio.Task[None]] = {}
    misses = 0
    async with asyncio.TaskGroup() as group:
        while True:
            addresses = await resolve(site.name, site.port)
            misses = 0 if addresses else misses + 1
            # A resolver may miss questions, which speaks against no server that answers.
            lost = misses >= settings.failures and not site.answers
            if addresses or lost or not site.known:
                gone, new = site.found(addresses)
                if not addresses:
                    site.unresolved.health = Health(State.DOWN, NAME_NOT_KNOWN)
                pool.change(gone, new)
                for replica in gone:
                    if task := tasks.pop(replica, None):
                        task.cancel()
                for replica in new:
                    if replica is not site.unresolved:
                        tasks[replica] = group.create_task(watch(replica))
            await asyncio.sleep(settings.names_interval)


async def resolve(name: str, port: int) -> list[str]:
    """All addresses, of one family as a server may have one of each; none if it is not known."""
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    for family in (socket.AF_INET, socket.AF_INET6):
        if found := sorted({str(info[4][0]) for info in infos if info[0] == family}):
            return found
    return []
