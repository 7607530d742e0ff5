"""Pause and resume by hand, over a Unix socket inside the container.

Anyone who may run `docker exec` may use it; it cannot be reached over the network.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from aiohttp import web

from app.monitor.watch import Watch

WATCH = web.AppKey("watch", Watch)
LONGEST_PAUSE = 30 * 86_400.0
COMMAND_TIMEOUT = 10.0


def application(watch: Watch) -> web.Application:
    """The application that serves the socket."""
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
    """The named services, or all."""
    names = data.get("services") or list(watch.services)
    for name in names:
        if name not in watch.services:
            allowed = ", ".join(watch.services)
            raise web.HTTPBadRequest(text=f"there is no service {name!r}; allowed: {allowed}")
    return list(names)


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=COMMAND_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host and port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def send_command(socket_path: Path, command: str, data: dict[str, Any]) -> tuple[bool, str]:
    """Send a command to the monitor in this container; whether it succeeded, and the response."""
    connection = _SocketConnection(socket_path)
    try:
        connection.request("POST", f"/{command}", json.dumps(data))
        response = connection.getresponse()
        return response.status == 200, response.read().decode()
    except OSError as error:
        return False, f"{socket_path}: {error.strerror or error}: is a monitor running?"
    finally:
        connection.close()


def read_duration(text: str) -> float:
    """Seconds of a duration such as 90s, 15m, 2h or 1d; raises ValueError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or not int(number):
        raise ValueError(f"{text!r} is not a valid duration; allowed: such as 90s, 15m, 2h or 1d")
    return float(int(number) * units[unit])
