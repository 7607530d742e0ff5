"""What people may tell the monitor: pause and resume. Over a Unix socket inside its container,
so that whoever may `docker exec` may do it, and nobody over the network.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from aiohttp import web

from app.monitor.decisions.watch import Watch
from app.monitor.settings import Settings

WATCH = web.AppKey("watch", Watch)
LONGEST_PAUSE = 30 * 86_400.0


def application(watch: Watch) -> web.Application:
    """The application behind the socket."""
    app = web.Application()
    app[WATCH] = watch
    app.router.add_post("/pause", _pause)
    app.router.add_post("/resume", _resume)
    return app


async def _pause(request: web.Request) -> web.Response:
    data = await request.json()
    names = _names(request.app[WATCH], data)
    seconds = data.get("seconds")
    if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_PAUSE:
        raise web.HTTPBadRequest(text=f"seconds: found {seconds!r}, allowed: up to 30 days")
    request.app[WATCH].pause(names, seconds)
    await request.app[WATCH].save()
    return web.json_response({"paused": names, "seconds": seconds})


async def _resume(request: web.Request) -> web.Response:
    names = _names(request.app[WATCH], await request.json())
    request.app[WATCH].resume(names)
    await request.app[WATCH].save()
    return web.json_response({"resumed": names})


def _names(watch: Watch, data: dict[str, Any]) -> list[str]:
    """The services meant: those named, or all."""
    names = data.get("services") or list(watch.services)
    for name in names:
        if name not in watch.services:
            allowed = ", ".join(watch.services)
            raise web.HTTPBadRequest(text=f"{name!r} is no service; allowed: {allowed}")
    return list(names)


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of host and port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def tell(settings: Settings, verb: str, data: dict[str, Any]) -> tuple[bool, str]:
    """Tell the monitor that runs beside this process; whether it worked, and what it said."""
    connection = _SocketConnection(settings.internal.admin_socket)
    try:
        connection.request("POST", f"/{verb}", json.dumps(data))
        answer = connection.getresponse()
        return answer.status == 200, answer.read().decode()
    except OSError as error:
        return (
            False,
            f"{settings.internal.admin_socket}: {error.strerror or error}: is a monitor running?",
        )
    finally:
        connection.close()


def read_duration(text: str) -> float:
    """Seconds of a time span such as 90s, 15m, 2h or 1d; raises ValueError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or not int(number):
        raise ValueError(f"{text!r} is no duration such as 90s, 15m, 2h or 1d")
    return float(int(number) * units[unit])
