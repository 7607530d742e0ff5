"""Keeps asking every replica whether it can answer, and whether it is about to end."""

from __future__ import annotations

import asyncio
import contextlib

from app.chat.fleet.discovery import Watcher, follow
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.replica import Health, Replica, State
from app.chat.relay.upstream import Upstream
from app.chat.settings import HealthChecks
from app.shared.json_log import Log

_log = Log(__name__)


async def watch_health(fleet: Fleet, upstream: Upstream, settings: HealthChecks) -> None:
    """Ask until cancelled; each replica in a task of its own, so that none delays another."""

    def watcher(pool: ModelPool) -> Watcher:
        return lambda replica: _watch(replica, pool, upstream, settings)

    async with asyncio.TaskGroup() as tasks:
        for pool in fleet:
            for site in pool.sites:
                tasks.create_task(follow(site, pool, watcher(pool), settings))


async def _watch(
    replica: Replica, pool: ModelPool, upstream: Upstream, settings: HealthChecks
) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_watch_health(replica, pool, upstream, settings))
        if replica.status_url is not None:
            tasks.create_task(_watch_draining(replica, pool, upstream, settings))


async def _watch_draining(
    replica: Replica, pool: ModelPool, upstream: Upstream, settings: HealthChecks
) -> None:
    while True:
        says = await upstream.is_draining(replica, settings.timeout)
        if says is not None and says is not replica.draining:
            replica.draining = says
            _log.info(
                "replica is draining" if says else "replica stopped draining",
                model=pool.card.id,
                replica=replica.name,
            )
            pool.dispatch()
        await asyncio.sleep(settings.draining_interval)


async def _watch_health(
    replica: Replica, pool: ModelPool, upstream: Upstream, settings: HealthChecks
) -> None:
    now = asyncio.get_running_loop().time
    failures = 0
    while True:
        asked = now()
        try:
            health = await upstream.ask_health(replica, settings.timeout)
        except Exception:
            # Whatever it is, the other replicas have to be watched on.
            _log.exception("health check failed", model=pool.card.id, replica=replica.name)
            health = Health(State.DOWN, "it cannot be asked")
        if health.state is State.DOWN and replica.last_heard >= asked:
            # It sent tokens in the meantime: it is busy (or the gateway is), which is not down.
            health = Health(State.READY)
        failures = failures + 1 if health.state is State.DOWN else 0
        # A server may miss a question now and then; one that was never ready gets no such credit.
        if failures in (0, settings.failures) or replica.health.state is not State.READY:
            replica.health = health
        pool.dispatch()
        replica.doubt.clear()
        ready = replica.health.state is State.READY and not failures
        pause = settings.interval if ready else settings.interval_when_down
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await replica.doubt.wait()
