"""Checks the health of every server, its list of models, and whether it is draining."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from app.chat.fleet.directory import Directory
from app.chat.fleet.discovery import watch_endpoint
from app.chat.fleet.provider import Provider
from app.chat.fleet.server import Health, Server, State
from app.chat.fleet.upstream import UpstreamClient
from app.chat.settings import HealthChecks
from app.shared.json_log import Log

_log = Log(__name__)

# A service elsewhere counts requests: check it this many times less often.
_EXTERNAL_FACTOR = 12


async def watch_health(
    directory: Directory, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    """Check until cancelled; each server in its own task, so that none delays another.

    Providers that enter or leave the directory are checked from then on, or no longer.
    """
    watches: dict[Provider, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as tasks:
        while True:
            directory.changed.clear()
            watched = directory.watched
            for provider in watches.keys() - watched:
                watches.pop(provider).cancel()
            for provider in watched - watches.keys():
                watch = _watch_provider(provider, upstream, settings)
                watches[provider] = tasks.create_task(watch)
            pause = settings.names_interval if directory.has_to_release else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await directory.changed.wait()
            directory.release()


async def _watch_provider(
    provider: Provider, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    def watch(server: Server) -> Coroutine[Any, Any, None]:
        return _watch(server, provider, upstream, settings)

    async with asyncio.TaskGroup() as tasks:
        for endpoint in provider.endpoints:
            tasks.create_task(watch_endpoint(endpoint, provider, watch, settings))


async def _watch(
    server: Server, provider: Provider, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    async with asyncio.TaskGroup() as tasks:
        if server.is_checked:
            tasks.create_task(_watch_health(server, provider, upstream, settings))
        if server.status_url is not None:
            tasks.create_task(_watch_draining(server, provider, upstream, settings))


async def _watch_draining(
    server: Server, provider: Provider, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    while True:
        draining = await upstream.is_draining(server, settings.timeout)
        if draining is not None and draining is not server.draining:
            server.draining = draining
            _log.info(
                "a server is draining" if draining else "a server stopped draining",
                server=provider.name,
            )
            server.dispatch()
        await asyncio.sleep(settings.draining_interval)


async def _watch_health(
    server: Server, provider: Provider, upstream: UpstreamClient, settings: HealthChecks
) -> None:
    now = asyncio.get_running_loop().time
    factor = _EXTERNAL_FACTOR if server.external else 1
    failures = 0
    while True:
        started = now()
        try:
            health = await _check(server, provider, upstream, settings.timeout)
        except Exception:
            # A bug here must not stop the checks of the other servers.
            _log.exception("health check failed", server=provider.name)
            health = Health(State.DOWN, "its health check failed")
        missing = health.state is State.DOWN or health.needs_load
        if missing and server.last_activity >= started:
            # It sent tokens in the meantime, so it is loaded, and it (or the gateway) is busy.
            health = Health(State.READY)
        failures = failures + 1 if health.state is State.DOWN else 0
        # A server that was ready may fail some checks before it counts as down.
        if failures in (0, settings.failures) or not server.health.answers:
            if server.discovers and health != server.health:
                _log_health(provider, health)
            server.health = health
        if server.discovers:
            provider.review()
        server.dispatch()
        server.check_now.clear()
        await _read_capabilities(server, provider, upstream, settings.timeout)
        steady = server.health.answers and not server.wakes and not failures
        pause = factor * (settings.interval if steady else settings.interval_when_down)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await server.check_now.wait()


async def _read_capabilities(
    server: Server, provider: Provider, upstream: UpstreamClient, seconds: float
) -> None:
    """Read once what each model can do, and again after its server was down.

    A router reports it for the models that it has in memory only; a server that sleeps, always.
    """
    if server.props_url is None:
        return
    if server.health.state in (State.DOWN, State.LOADING):
        server.capabilities = {}
        return
    for model in provider.offered():
        state = server.health_of(model).state
        reports = state is State.READY or (state is State.ASLEEP and server.sleeps)
        if reports and model not in server.capabilities:
            found = await upstream.capabilities(server, model, seconds)
            if found is not None:
                server.capabilities = {**server.capabilities, model: found}


def _log_health(provider: Provider, health: Health) -> None:
    """Until it has listed its models, nothing else shows what is wrong with a server."""
    log = _log.info if health.state is State.READY else _log.warning
    log(f"a server is {health.state}", server=provider.name, reason=health.reason)


async def _check(
    server: Server, provider: Provider, upstream: UpstreamClient, seconds: float
) -> Health:
    """The health of a server; also updates its models, if it lists them."""
    if server.most_loaded is not None:
        health, server.model_health = await upstream.check_router(server, seconds)
        return health
    if server.sleeps:
        return await upstream.check_sleeper(server, seconds)
    if server.health_url is not None:
        health = await upstream.check_health(server, seconds)
        if not server.discovers or health.state is not State.READY:
            return health
    health, listed = await upstream.list_models(server, seconds)
    if listed is not None:
        provider.list_received(server, listed)
    return health
