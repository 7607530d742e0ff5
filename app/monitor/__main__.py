"""Command line of the monitor: `run` (the default) and `check` (the container's health check)."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import urllib.error
import urllib.request

from aiohttp import web

from .fetch import Fetcher
from .log import log
from .probes import Prober
from .settings import Settings, SettingsError, load
from .watch import Watch
from .web import application


def main() -> int:
    """Run a command; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="monitor", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run", help="watch the services (the default)")
    commands.add_parser("check", help="exit with 0 if the monitor in this container works")
    arguments = parser.parse_args()
    try:
        settings = load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.command == "check":
        return check(settings)
    asyncio.run(run(settings))
    return 0


async def run(settings: Settings) -> None:
    """Watch until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    fetcher = Fetcher.create()
    watch = Watch(settings, Prober(fetcher))
    runner = web.AppRunner(application(watch), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port).start()
    log("started", stack=settings.stack, services=len(settings.services), port=settings.port)
    for note in settings.notes:
        log("note", "warning", reason=note)
    watching = asyncio.create_task(watch.run())
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({watching, waiting}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    waiting.cancel()
    await asyncio.gather(watching, waiting, return_exceptions=True)
    await runner.cleanup()
    await fetcher.close()
    log("stopped")


def check(settings: Settings) -> int:
    """Ask the monitor that runs beside this process whether it works."""
    url = f"http://127.0.0.1:{settings.port}/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=4) as answer:
            return 0 if json.load(answer)["status"] == "ok" else 1
    except (OSError, ValueError, urllib.error.URLError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
