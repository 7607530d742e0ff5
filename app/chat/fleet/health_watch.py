"""Checks the health of every replica, and whether it is draining."""

from __future__ import annotations

import asyncio
import contextlib

from app.chat.fleet.discovery import Watcher, watch_endpoint
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.replica import Health, Replica, State
from app.chat.fleet.upstream import UpstreamClient
from app.chat.settings import HealthChecks
from app.shared.json_log import Log

_log = Log(__name__)


async def watch_health(fleet: Fleet, upstream: UpstreamClient, settings: HealthChecks) -> None:
    """Check until cancelled; each replica in its own task, so that none delays another."""

    def watcher(pool: ModelPool) -> Watcher:
        return lambda replica: _watch(replica, pool, upstream, settings)

    async with asyncio.TaskGroup() as tasks:
        for pool in fleet:
            for endpoint in pool.endpoints:
                tasks.create_task(watch_endpoint(endpoint, pool, watcher(pool), settings))


async def _watch(
    replica: Replica, pool: ModelPool, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_watch_health(replica, pool, upstream, settings))
        if replica.status_url is not None:
            tasks.create_task(_watch_draining(replica, pool, upstream, settings))


async def _watch_draining(
    replica: Replica, pool: ModelPool, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    while True:
        draining = await upstream.is_draining(replica, settings.timeout)
        if draining is not None and draining is not replica.draining:
            replica.draining = draining
            _log.info(
                "replica is draining" if draining else "replica stopped draining",
                model=pool.card.id,
                replica=replica.name,
            )
            pool.dispatch()
        await asyncio.sleep(settings.draining_interval)


async def _watch_health(
    replica: Replica, pool: ModelPool, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    now = asyncio.get_running_loop().time
    failures = 0
    while True:
        started = now()
        try:
            health = await upstream.check_health(replica, settings.timeout)
        except Exception:
            # A bug here must not stop the checks of the other replicas.
            _log.exception("health check failed", model=pool.card.id, replica=replica.name)
            health = Health(State.DOWN, "its health check failed")
        if health.state is State.DOWN and replica.last_activity >= started:
            # It sent tokens in the meantime, so it (or the gateway) is busy, not down.
            health = Health(State.READY)
        failures = failures + 1 if health.state is State.DOWN else 0
        # A replica that was ready may fail some checks before it counts as down.
        if failures in (0, settings.failures) or replica.health.state is not State.READY:
            replica.health = health
        pool.dispatch()
        replica.check_now.clear()
        ready = replica.health.state is State.READY and not failures
        pause = settings.interval if ready else settings.interval_when_down
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await replica.check_now.wait()
