"""The monitor's pages, JSON and metrics over HTTP. All of it is read-only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from app.monitor.settings import Service
from app.monitor.store.history import History
from app.monitor.watch import Watch
from app.monitor.web.api import incident_json, service_json
from app.monitor.web.metrics import CONTENT_TYPE, Exposition
from app.monitor.web.pages import FOLDER, Pages
from app.shared.host_names import HostNames

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
        "img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Sources:
    """What the handlers read from."""

    watch: Watch
    history: History
    pages: Pages
    exposition: Exposition
    files: Mapping[str, str]


STATIC_FILES = {
    "style.css": "text/css",
    "status.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
}
"""Name in the folder static and on the site, and content type."""

SOURCES = web.AppKey("sources", Sources)
HOSTS = web.AppKey("hosts", HostNames)


def application(watch: Watch, history: History, exposition: Exposition) -> web.Application:
    """The monitor's web application."""
    app = web.Application(middlewares=[_add_headers, _check_host])
    files = {name: (FOLDER / "static" / name).read_text() for name in STATIC_FILES}
    app[HOSTS] = HostNames(watch.settings.hosts)
    app[SOURCES] = Sources(watch, history, Pages(watch, history), exposition, files)
    app.router.add_get("/", index)
    app.router.add_get("/service/{name}", service)
    app.router.add_get("/badge/{name}.svg", badge)
    for name in STATIC_FILES:
        app.router.add_get(f"/{name}", static_file)
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/api/v1/status", api_status)
    app.router.add_get("/api/v1/services/{name}", api_service)
    return app


@web.middleware
async def _add_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers.update(HEADERS)
    return response


@web.middleware
async def _check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page of another site whose name resolves to this address must not read the status."""
    if request.app[HOSTS].allow(request.headers.get("host", "")):
        return await handler(request)
    text = (
        "The Host header is not a name of this monitor. Allow it in the stack's settings: "
        "llm-stack:monitor.hosts\n"
    )
    return web.Response(text=text, status=421)


def _requested_service(request: web.Request) -> Service:
    try:
        return request.app[SOURCES].watch.services[request.match_info["name"]]
    except KeyError:
        raise web.HTTPNotFound(text="service not found", headers=HEADERS) from None


async def index(request: web.Request) -> web.Response:
    """The status page."""
    return _html(request.app[SOURCES].pages.index(time.time(), request.host))


async def service(request: web.Request) -> web.Response:
    """The page of one service."""
    sources, name = request.app[SOURCES], request.match_info["name"]
    if name not in sources.watch.services:
        return _html(sources.pages.missing(), status=404)
    return _html(sources.pages.service(name, time.time(), request.host))


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")


async def badge(request: web.Request) -> web.Response:
    """The badge of one service."""
    text = request.app[SOURCES].pages.badge(_requested_service(request).name)
    return web.Response(text=text, content_type="image/svg+xml")


async def static_file(request: web.Request) -> web.Response:
    """A file of the pages."""
    name = request.path.removeprefix("/")
    text = request.app[SOURCES].files[name]
    return web.Response(text=text, content_type=STATIC_FILES[name])


async def metrics(request: web.Request) -> web.Response:
    """The Prometheus metrics."""
    body = request.app[SOURCES].exposition.text()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def api_status(request: web.Request) -> web.Response:
    """All services, and whether the restarter works."""
    sources, now = request.app[SOURCES], time.time()
    watch = sources.watch
    body = {
        "stack": watch.settings.stack,
        "restarter_works": watch.restarter_works,
        "services": [
            service_json(watch, sources.history, one, now) for one in watch.services.values()
        ],
    }
    return web.json_response(body)


async def api_service(request: web.Request) -> web.Response:
    """One service with its incidents, the latest first."""
    sources, requested = request.app[SOURCES], _requested_service(request)
    incidents = reversed(sources.history.services[requested.name].incidents)
    body = service_json(sources.watch, sources.history, requested, time.time())
    body["incidents"] = [incident_json(incident) for incident in incidents]
    return web.json_response(body)


async def health(request: web.Request) -> web.Response:
    """Whether the monitor itself works: it checks services, and can save its state."""
    watch = request.app[SOURCES].watch
    problems = []
    silence = time.time() - watch.last_check_at
    if watch.services and silence > 3 * watch.settings.interval + 60:
        problems.append(f"no check for {silence:.0f} s")
    if not watch.state_writable:
        problems.append("its state cannot be saved")
    checks = sum(counts.checks for counts in watch.counts.values())
    status = "failing" if problems else "ok"
    body = {"status": status, "checks": checks, "faults": problems}
    return web.json_response(body, status=503 if problems else 200)
