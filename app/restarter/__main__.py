"""Command line of the restarter: it takes no argument but `run`, which is the default."""

from __future__ import annotations

import signal
import sys
import threading

from app.restarter.engine import Engine
from app.restarter.server import Restarter, Server, log
from app.restarter.settings import Settings, SettingsError, load, read_token


def main(arguments: list[str]) -> int:
    """Run a command; the result is the exit status."""
    if arguments not in ([], ["run"]):
        print("usage: restarter [run]", file=sys.stderr)
        return 2
    try:
        settings = load()
        run(settings, read_token(settings.token_file))
    except SettingsError as error:
        log("error", str(error))
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
        log("info", "started", stack=settings.stack, services=settings.services, port=settings.port)
        if status != 200:
            log("error", "cannot reach Docker", reason=health["reason"])
        server.serve_forever(poll_interval=0.2)
    log("info", "stopped")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
