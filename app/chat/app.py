"""Builds the gateway application from its settings."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.chat.access.accounting import Accounting
from app.chat.access.admission import Admission
from app.chat.access.identity import AccessIdentities
from app.chat.access.keys import KeyRing
from app.chat.api.generation import Generation
from app.chat.api.page import WEB_ROOT, serve_page
from app.chat.api.routes import Gateway, router
from app.chat.api.unknown_paths import install_unknown_paths
from app.chat.api.usage import usage_router
from app.chat.fleet.configuration import Configuration
from app.chat.fleet.directory import Directory
from app.chat.fleet.health_watch import watch_health
from app.chat.fleet.upstream import UpstreamClient
from app.chat.middleware.browser_guard import BrowserGuard
from app.chat.middleware.cors import allow_cross_origin
from app.chat.middleware.head_requests import HeadRequests
from app.chat.middleware.origins import Origins
from app.chat.middleware.request_log import RequestLog
from app.chat.model_lists import ListedModels
from app.chat.openai.errors import install_error_handlers
from app.chat.relay.answer_memory import AnswerMemory
from app.chat.server.metrics import Metrics
from app.chat.server.usage_state import UsageState
from app.chat.server.watched_state import WatchedState
from app.chat.settings import AccessApplications, GatewaySettings, KeyFile, Secrets
from app.chat.usage.recorder import UsageRecorder
from app.chat.usage.store import UsageStore
from app.shared.host_names import HostNames
from app.shared.watched_file import Watched


def create_app(
    settings: GatewaySettings,
    secrets: Secrets,
    web_root: Path = WEB_ROOT,
    lists: Watched[ListedModels] | None = None,
    *,
    keys: Watched[KeyFile | None] | None = None,
    usage_file: Path | None = None,
    applications: Watched[AccessApplications] | None = None,
    access_keys_url: str | None = None,
) -> ASGIApp:
    """The ASGI application: the routes, wrapped in middleware that applies to every request.

    :param web_root: the folder of the built chat page.
    :param lists: the models, where they may change while the gateway runs.
    :param keys: the API keys, where they may change while the gateway runs.
    :param usage_file: None counts usage in memory only.
    :param applications: of Cloudflare Access, where they may change while the gateway runs.
    :param access_keys_url: None for that of Cloudflare.
    """
    clock = time.monotonic
    usage = UsageRecorder(None if usage_file is None else UsageStore(usage_file))
    ring = KeyRing(secrets.api_keys, clock, usage.tokens_today)
    identities = None
    if (access := settings.access) is not None:
        identities = AccessIdentities(access, clock, usage.tokens_today, access_keys_url)
        if applications is not None:
            applications.apply = identities.use

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        directory, reading = _directory(settings, secrets, lists, clock)
        files = [file for file in (lists, keys, applications) if file is not None]
        if keys is not None:
            keys.apply = ring.replace
            reading = (*reading, keys.run())
        if applications is not None:
            reading = (*reading, applications.run())
        upstream = UpstreamClient(settings.limits.connect_seconds)
        app.state.gateway = Gateway(
            settings=settings,
            fleet=directory.fleet,
            usage=usage,
            metrics=Metrics(directory.fleet, WatchedState(files), UsageState(usage)),
            upstream=upstream,
            answers=AnswerMemory(settings.limits.answer_bytes, settings.limits.all_answers_bytes),
            started=int(time.time()),
        )
        await usage.write()
        writes = asyncio.create_task(usage.run())
        watches = [
            asyncio.create_task(watch)
            for watch in (watch_health(directory, upstream, settings.health), *reading)
        ]
        yield
        for watch in watches:
            watch.cancel()
        usage.close()
        await asyncio.wait((*watches, writes))
        await upstream.close()

    # FastAPI's documentation pages would load scripts from a third party.
    app = FastAPI(
        title="chat",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_error_handlers(app)
    install_unknown_paths(app, (*router.routes, *usage_router.routes))
    app.include_router(router)
    app.include_router(usage_router)
    serve_page(app, web_root)
    accounting = Accounting(lambda: app.state.gateway.metrics, usage)
    inner = Generation(app, lambda: app.state.gateway)
    admission = Admission(inner, settings.limits, ring, accounting.ended, identities)
    outer: ASGIApp = HeadRequests(admission)
    origins = Origins(settings.cors_origins, settings.hosts)
    if settings.cors_origins:
        outer = allow_cross_origin(outer, origins)
    return RequestLog(BrowserGuard(outer, HostNames(settings.hosts), origins))


def _directory(
    settings: GatewaySettings,
    secrets: Secrets,
    lists: Watched[ListedModels] | None,
    clock: Callable[[], float],
) -> tuple[Directory, Sequence[Coroutine[Any, Any, None]]]:
    """The directory of the models, and what keeps it equal to a list that changes."""
    configuration = Configuration(clock)
    providers = configuration.providers(settings, secrets.upstream_keys)
    directory = Directory(providers, settings, clock)
    if lists is None:
        return directory, ()

    def apply(listed: ListedModels) -> None:
        present = settings.with_lists(listed.lists)
        directory.update(configuration.providers(present, listed.upstream_keys))

    lists.apply = apply
    return directory, (lists.run(),)
