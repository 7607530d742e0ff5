"""Command line of the monitor.

monitor [run]                       watch the services
monitor pause [SERVICE…] --for 15m  no restarts and no alerts for a while
monitor resume [SERVICE…]           end a pause; restart again what was given up
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import web

from app.monitor import admin
from app.monitor.alerting.alerts import Alerter
from app.monitor.alerting.heartbeat import beat
from app.monitor.checks.fetch import Fetcher
from app.monitor.checks.probes import Prober
from app.monitor.decisions.watch import Watch
from app.monitor.load_settings import load_settings
from app.monitor.restarting.restarts import RestarterClient
from app.monitor.settings import Internal, Settings
from app.monitor.store.history import History
from app.monitor.web.metrics import Exposition
from app.monitor.web.web import application
from app.shared.json_log import Log, log_to
from app.shared.settings_file import SettingsError

log = Log("monitor")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the result is the exit status."""
    options = _parser().parse_args(arguments)
    command = options.command or "run"
    if command == "run":
        log_to()
    try:
        settings = load_settings()
        if command != "run":
            return tell(settings, options)
        asyncio.run(run(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="monitor", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run")
    for verb in ("pause", "resume"):
        command = commands.add_parser(verb)
        command.add_argument("services", nargs="*", metavar="SERVICE", help="all, if none is named")
        if verb == "pause":
            command.add_argument("--for", dest="span", default="15m", metavar="SPAN")
    return parser


async def run(settings: Settings) -> None:
    """Watch until SIGTERM or SIGINT, or until a part of it fails."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        fetcher, outside = Fetcher.create(), Fetcher.create(outside=True)
        stack.push_async_callback(fetcher.close)
        stack.push_async_callback(outside.close)
        internal = settings.internal
        prober = Prober(fetcher, settings.thresholds, internal.check_timeout)
        client = RestarterClient(settings.restarts, fetcher) if settings.restarts.enabled else None
        names = [service.name for service in settings.services]
        history = History(names, settings.interval, internal.state_dir, time.time)
        alerter = Alerter(
            settings.alerts,
            settings.stack,
            internal.state_dir,
            outside,
            services=names,
            paused=lambda name: watch.is_paused(watch.services[name]),
        )
        watch = Watch(
            settings,
            prober,
            client,
            listeners=(history.hear, alerter.hear),
            check_listeners=(history.count,),
        )
        site = application(watch, history, Exposition(watch, alerter))
        await stack.enter_async_context(_served(site, internal))
        await stack.enter_async_context(_served(admin.application(watch), internal, private=True))
        log.info(
            "monitor started",
            stack=settings.stack,
            services=len(settings.services),
            port=internal.port,
        )
        parts = (watch.run(), history.run(), alerter.run(), beat(settings.alerts, outside))
        await _until(stop, [asyncio.create_task(part) for part in parts])
    log.info("monitor stopped")


@contextlib.asynccontextmanager
async def _served(
    app: web.Application, internal: Internal, *, private: bool = False
) -> AsyncIterator[None]:
    """Serve an application, on the admin socket if it is private."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        if private:
            internal.admin_socket.unlink(missing_ok=True)
            await web.UnixSite(runner, str(internal.admin_socket)).start()
            internal.admin_socket.chmod(0o600)
        else:
            await web.TCPSite(runner, internal.host, internal.port).start()
        yield
    finally:
        await runner.cleanup()


async def _until(stop: asyncio.Event, parts: list[asyncio.Task[None]]) -> None:
    """Let the parts run until `stop`, or until one fails, which ends the others and is raised:
    Docker starts a monitor that ends again, and no half of one goes on unnoticed."""
    waiting: asyncio.Task[Any] = asyncio.create_task(stop.wait())
    running: set[asyncio.Task[Any]] = {waiting, *parts}
    try:
        while not stop.is_set():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in (waiting, *parts):
            task.cancel()
        await asyncio.gather(waiting, *parts, return_exceptions=True)


def tell(settings: Settings, options: argparse.Namespace) -> int:
    """Pass a pause or a resume on to the monitor that runs beside this process."""
    data: dict[str, object] = {"services": options.services}
    if options.command == "pause":
        try:
            data["seconds"] = admin.read_duration(options.span)
        except ValueError as error:
            print(f"--for: {error}", file=sys.stderr)
            return 2
    worked, said = admin.tell(settings, options.command, data)
    print(said, file=sys.stdout if worked else sys.stderr)
    return 0 if worked else 1


if __name__ == "__main__":
    sys.exit(main())
