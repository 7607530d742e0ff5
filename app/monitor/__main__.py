"""Command line of the monitor.

monitor [run]                       watch the services
monitor pause [SERVICE…] --for 15m  no restarts and no alerts for a while
monitor resume [SERVICE…]           end a pause; allow restarts again after "gave up"
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from app.monitor import admin
from app.monitor.alerting.alert_sender import AlertSender
from app.monitor.alerting.heartbeat import send_heartbeats
from app.monitor.checks.http_client import HttpClient
from app.monitor.checks.prober import Prober
from app.monitor.clock_steps import ClockSteps
from app.monitor.load_settings import load_settings, watched_services
from app.monitor.restarting.restarts import RestarterClient
from app.monitor.settings import Internal, ServiceList, Settings
from app.monitor.store.history import History
from app.monitor.watch import Watch
from app.monitor.web.metrics import Exposition
from app.monitor.web.web import application
from app.shared.json_log import Log, log_to
from app.shared.settings_file import SettingsError
from app.shared.watched_file import Watched

log = Log("monitor")

LIST_SECONDS = 60.0
"""How long to wait for the list at the start: on a Swarm it comes from another service."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    command = options.command or "run"
    if command == "run":
        log_to(sys.stdout)
    try:
        settings = load_settings()
        if command != "run":
            return send_admin_command(settings.internal.admin_socket, options)
        listed = watched_services(settings.service_list) if settings.service_list else None
        if listed:
            settings = settings.with_services(listed.first(patience=LIST_SECONDS))
        asyncio.run(run(settings, listed))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="monitor", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run")
    for name in ("pause", "resume"):
        command = commands.add_parser(name)
        command.add_argument("services", nargs="*", metavar="SERVICE", help="default: all")
        if name == "pause":
            command.add_argument("--for", dest="duration", default="15m", metavar="DURATION")
    return parser


async def run(settings: Settings, listed: Watched[ServiceList] | None = None) -> None:
    """Watch until SIGTERM or SIGINT, or until a part of the monitor fails.

    :param listed: the services, where they may change in the meantime.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        http_client, external = HttpClient.create(), HttpClient.create(external=True)
        stack.push_async_callback(http_client.close)
        stack.push_async_callback(external.close)
        restarter = RestarterClient(settings.restarts, http_client)
        internal = settings.internal
        names = [service.name for service in settings.services]
        history = History(names, settings.interval, internal.state_dir, time.time)
        alert_sender = AlertSender(
            settings.alerts,
            settings.stack,
            internal.state_dir,
            external,
            services=names,
            paused=lambda name: watch.is_paused(watch.services[name]),
        )
        watch = Watch(
            settings,
            Prober(http_client, settings.thresholds, internal.check_timeout, outside=external),
            restarter if settings.restarts.enabled else None,
            listeners=(history.on_event, alert_sender.on_event),
            check_listeners=(history.on_check,),
            clock_step=ClockSteps(),
            step_listeners=(alert_sender.on_clock_step,),
        )

        def apply(services: ServiceList) -> None:
            history.keep(service.name for service in services.services)
            watch.update(services.services)
            alert_sender.keep(watch.services)

        if listed:
            listed.apply = apply
        public = application(watch, history, Exposition(watch, alert_sender, listed))
        await stack.enter_async_context(_served(public, internal))
        await stack.enter_async_context(_served(admin.application(watch), internal, private=True))
        log.info("monitor started", stack=settings.stack, services=len(names), port=internal.port)
        parts = (
            watch.run(),
            history.run(),
            alert_sender.run(),
            send_heartbeats(settings.alerts, external),
            *([listed.run()] if listed else []),
        )
        await _until(stop, [asyncio.create_task(part) for part in parts])
    log.info("monitor stopped")


@contextlib.asynccontextmanager
async def _served(
    app: web.Application, internal: Internal, *, private: bool = False
) -> AsyncIterator[None]:
    """Serve an application: on the port, or on the admin socket if it is private."""
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
    """Run the parts until `stop`, or until one fails: its error ends the others and is raised, so
    that Docker restarts the monitor instead of running it without that part."""
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


def send_admin_command(socket_path: Path, options: argparse.Namespace) -> int:
    """Send a pause or a resume to the monitor that runs in this container."""
    data: dict[str, object] = {"services": options.services}
    if options.command == "pause":
        try:
            data["seconds"] = admin.read_duration(options.duration)
        except ValueError as error:
            print(f"--for: {error}", file=sys.stderr)
            return 2
    succeeded, response = admin.send_command(socket_path, options.command, data)
    print(response, file=sys.stdout if succeeded else sys.stderr)
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
