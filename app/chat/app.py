"""Builds the gateway application from its settings."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.chat.access.admission import Admission
from app.chat.access.keys import KeyRing
from app.chat.api.page import WEB_ROOT, serve_page
from app.chat.api.routes import Gateway, router
from app.chat.fleet.directory import build_directory
from app.chat.fleet.health_watch import watch_health
from app.chat.fleet.upstream import UpstreamClient
from app.chat.middleware.browser_guard import BrowserGuard
from app.chat.middleware.request_log import RequestLog
from app.chat.openai.errors import install_error_handlers
from app.chat.server.metrics import Metrics
from app.chat.settings import GatewaySettings, Secrets


def create_app(settings: GatewaySettings, secrets: Secrets, web_root: Path = WEB_ROOT) -> ASGIApp:
    """The ASGI application: the routes, wrapped in middleware that applies to every request.

    :param web_root: the folder of the built chat page.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        clock = time.monotonic
        directory = build_directory(settings, secrets.upstream_keys, clock)
        upstream = UpstreamClient(settings.limits.connect_seconds)
        app.state.gateway = Gateway(
            settings=settings,
            fleet=directory.fleet,
            keys=KeyRing(secrets.api_keys, clock),
            metrics=Metrics(directory.fleet),
            upstream=upstream,
            started=int(time.time()),
        )
        watch = asyncio.create_task(watch_health(directory, upstream, settings.health))
        yield
        watch.cancel()
        await asyncio.wait((watch,))
        await upstream.close()

    # FastAPI's documentation pages would load scripts from a third party.
    app = FastAPI(title="chat", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    install_error_handlers(app)
    app.include_router(router)
    serve_page(app, web_root)
    outer: ASGIApp = Admission(app, settings.limits)
    if settings.cors_origins:
        outer = CORSMiddleware(
            outer,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("authorization", "content-type", "x-request-id"),
            expose_headers=("x-request-id", "x-routed-model", "x-queue-position", "retry-after"),
        )
    return RequestLog(BrowserGuard(outer, settings.cors_origins))
