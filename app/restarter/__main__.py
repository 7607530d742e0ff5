"""Entry point of the restarter: `python3 -m app.restarter`."""

from __future__ import annotations

import signal
import sys
import threading

from app.restarter.engine import Engine, StaleSocket
from app.restarter.server import Restarter, Server, log
from app.restarter.settings import Settings, SettingsError, load, read_token


def main(arguments: list[str]) -> int:
    """Serve until a signal; returns the exit code."""
    if arguments not in ([], ["run"]):
        print("usage: python3 -m app.restarter [run]", file=sys.stderr)
        return 2
    try:
        settings = load()
        run(settings, read_token(settings.token_file))
    except SettingsError as error:
        log("error", str(error))
        return 2
    except StaleSocket:
        log("error", "Docker has left its socket: exiting, to be started again with the new one")
        return 1
    return 0


def run(settings: Settings, token: bytes) -> None:
    """Serve until SIGTERM or SIGINT; a restart in progress is finished first.

    Raises StaleSocket.
    """
    restarter = Restarter(settings, token, Engine(settings.docker_socket))
    with Server((settings.host, settings.port), restarter) as server:

        def stop(number: int, frame: object) -> None:
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        status, health = restarter.health()
        log(
            "info",
            "started",
            stack=settings.stack,
            services=restarter.services(),
            port=settings.port,
        )
        if status != 200:
            log("error", "cannot reach Docker", reason=health["reason"])
        server.serve_forever(poll_interval=0.2)
    log("info", "stopped")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
