"""What the monitor shows over HTTP. Everything here only reads."""

from __future__ import annotations

import time

from aiohttp import web

from .watch import Watch

WATCH = web.AppKey("watch", Watch)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def application(watch: Watch) -> web.Application:
    """The monitor's web application."""
    app = web.Application()
    app[WATCH] = watch
    app.router.add_get("/health", health)
    return app


async def health(request: web.Request) -> web.Response:
    """Whether the monitor itself works: its checks go on, and its state can be kept."""
    watch = request.app[WATCH]
    faults = []
    silence = time.time() - watch.last_check_at
    allowed = 3 * max(map(watch.settings.interval_of, watch.settings.services)) + 60
    if silence > allowed:
        faults.append(f"no check for {silence:.0f} s")
    if not watch.state_writable:
        faults.append("its state cannot be written")
    status = "failing" if faults else "ok"
    body = {"status": status, "checks": watch.checks, "faults": faults}
    return web.json_response(body, status=503 if faults else 200, headers=HEADERS)
