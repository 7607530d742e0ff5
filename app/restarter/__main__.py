"""Command line of the restarter: `run` (the default) and `check` (the health check)."""

from __future__ import annotations

import http.client
import signal
import sys
import threading

from .engine import Engine
from .server import Restarter, Server, log
from .settings import Settings, SettingsError, load, read_token


def main(arguments: list[str]) -> int:
    """Run a command; the result is the exit status."""
    if arguments not in ([], ["run"], ["check"]):
        print("usage: restarter [run | check]", file=sys.stderr)
        return 2
    try:
        settings = load()
        if arguments == ["check"]:
            return check(settings)
        run(settings, read_token(settings.token_file))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def run(settings: Settings, token: bytes) -> None:
    """Serve until SIGTERM or SIGINT; a restart under way is carried to its end."""
    restarter = Restarter(settings, token, Engine(settings.docker_socket))
    with Server((settings.host, settings.port), restarter) as server:

        def stop(number: int, frame: object) -> None:
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        status, health = restarter.health()
        log("started", stack=settings.stack, services=settings.services, port=settings.port)
        if status != 200:
            log("engine_unreachable", reason=health["reason"])
        server.serve_forever(poll_interval=0.2)
    log("stopped")


def check(settings: Settings) -> int:
    """Ask the restarter that runs beside this process whether it works."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=4)
    try:
        connection.request("GET", "/health")
        return 0 if connection.getresponse().status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
