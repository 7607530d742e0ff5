"""What the monitor shows over HTTP: status page, badges, JSON, metrics. All of it only reads."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from app.monitor.decisions.watch import Watch
from app.monitor.settings import Service
from app.monitor.store.history import History
from app.monitor.web.metrics import CONTENT_TYPE, Exposition
from app.monitor.web.pages import FOLDER, Pages, as_json, incident_json

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What the handlers read from."""

    watch: Watch
    history: History
    pages: Pages
    exposition: Exposition
    style: str


SITE = web.AppKey("site", Site)


def application(watch: Watch, history: History, exposition: Exposition) -> web.Application:
    """The monitor's web application."""
    app = web.Application(middlewares=[_headers])
    style = (FOLDER / "static" / "style.css").read_text()
    app[SITE] = Site(watch, history, Pages(watch, history), exposition, style)
    app.router.add_get("/", index)
    app.router.add_get("/service/{name}", service)
    app.router.add_get("/badge/{name}.svg", badge)
    app.router.add_get("/style.css", style_sheet)
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/api/v1/status", api_status)
    app.router.add_get("/api/v1/services/{name}", api_service)
    return app


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers.update(HEADERS)
    return response


def _named(request: web.Request) -> Service:
    try:
        return request.app[SITE].watch.services[request.match_info["name"]]
    except KeyError:
        raise web.HTTPNotFound(text="no such service", headers=HEADERS) from None


async def index(request: web.Request) -> web.Response:
    """The page of all services."""
    return _html(request.app[SITE].pages.index(time.time()))


async def service(request: web.Request) -> web.Response:
    """The page of one service."""
    name = _named(request).name
    return _html(request.app[SITE].pages.service(name, time.time()))


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


async def badge(request: web.Request) -> web.Response:
    """The badge of one service."""
    text = request.app[SITE].pages.badge(_named(request).name)
    return web.Response(text=text, content_type="image/svg+xml")


async def style_sheet(request: web.Request) -> web.Response:
    """How the pages look."""
    return web.Response(text=request.app[SITE].style, content_type="text/css")


async def metrics(request: web.Request) -> web.Response:
    """The Prometheus metrics."""
    body = request.app[SITE].exposition.text()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def api_status(request: web.Request) -> web.Response:
    """All services, and what is open."""
    site, now = request.app[SITE], time.time()
    services = [
        as_json(site.watch, site.history, entry, now) for entry in site.watch.services.values()
    ]
    body = {
        "stack": site.watch.settings.stack,
        "restarter_works": site.watch.restarter_works,
        "services": services,
    }
    return web.json_response(body)


async def api_service(request: web.Request) -> web.Response:
    """One service with its incidents, the latest first."""
    site, entry = request.app[SITE], _named(request)
    incidents = reversed(site.history.records[entry.name].incidents)
    body = as_json(site.watch, site.history, entry, time.time())
    body["incidents"] = [incident_json(incident) for incident in incidents]
    return web.json_response(body)


async def health(request: web.Request) -> web.Response:
    """Whether the monitor itself works: its checks go on, and its state can be kept."""
    watch = request.app[SITE].watch
    faults = []
    silence = time.time() - watch.last_check_at
    allowed = 3 * watch.settings.interval + 60
    if silence > allowed:
        faults.append(f"no check for {silence:.0f} s")
    if not watch.state_writable:
        faults.append("its state cannot be written")
    checks = sum(tally.checks for tally in watch.tallies.values())
    status = "failing" if faults else "ok"
    body = {"status": status, "checks": checks, "faults": faults}
    return web.json_response(body, status=503 if faults else 200)
