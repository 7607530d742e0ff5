"""Waits until a container serves, or until it is clear that it will not, and why."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pulumi
from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from components.engine.client import docker_client, run_blocking

LAST_LINES = 15
POLL_SECONDS = 0.5
# The exit code that the engine reports for a health check that timed out.
CHECK_TIMED_OUT = -1
# Poll every 5 % of the elapsed time, within the two limits.
POLL_SHARE = 1 / 20
LONGEST_POLL_SECONDS = 5.0
# Log progress only after this long.
PROGRESS_SECONDS = 5.0
# It never served a request, so a short stop timeout is enough.
STOP_SECONDS = 10


class NotHealthy(Exception):
    """A container that will not become healthy; `str()` has the reason and its last log lines."""


async def wait_until_healthy(
    container_id: str, time_limit: int, docker_host: str | None, reporter: pulumi.Resource | None
) -> None:
    """Return once the container is healthy; raises `NotHealthy` as soon as it cannot become so.

    A container that fails is stopped: otherwise it would be restarted for ever, and now and then
    take requests from the one that it was to replace. The next update starts it for another try.

    :param time_limit: seconds.
    :param docker_host: None for the one that DOCKER_HOST names.
    :param reporter: the resource under which Pulumi shows the container's log lines meanwhile.
    """
    client = await run_blocking(docker_client, docker_host)
    try:
        container = await run_blocking(client.containers.get, container_id)
        if container.status == "exited":
            await run_blocking(container.start)
        try:
            async with asyncio.timeout(time_limit):
                check = EarlyCheck(client, container)
                failure = await _failure_while_waiting(container, check, reporter)
        except TimeoutError:
            failure = f"not healthy after {time_limit} s"
        if failure:
            last_log = await run_blocking(last_lines, container, LAST_LINES)
            await run_blocking(container.stop, timeout=STOP_SECONDS)
            raise NotHealthy(f"{container.name}: {failure}\n{last_log}")
    finally:
        client.close()


async def _failure_while_waiting(
    container: Container, check: EarlyCheck, reporter: pulumi.Resource | None
) -> str | None:
    """Wait for health, and log the container's newest line now and then; None once healthy."""
    started = time.monotonic()
    reported = ""
    while True:
        await run_blocking(container.reload)
        if is_healthy(container.attrs):
            return None
        if failure := failure_of(container.attrs):
            return failure
        if await run_blocking(check.passes):
            return None
        waited = time.monotonic() - started
        if waited > PROGRESS_SECONDS:
            last_log = await run_blocking(last_lines, container, 1)
            if last_log != reported:
                pulumi.log.info(f"waiting for health, {waited:.0f} s: {last_log}", reporter)
            reported = last_log
        await asyncio.sleep(min(max(POLL_SECONDS, waited * POLL_SHARE), LONGEST_POLL_SECONDS))


class EarlyCheck:
    """Runs a container's own health check before the engine does, which waits an interval first.

    Engines before Docker 25 have no shorter interval for the start, later ones wait five seconds
    (https://docs.docker.com/reference/dockerfile/#healthcheck). A check that hangs is not ended
    here; the engine ends its own.
    """

    def __init__(self, client: DockerClient, container: Container) -> None:
        self._api = client.api
        self._container = container
        self._command = check_command(container.attrs)
        self._running: str | None = None

    def passes(self) -> bool:
        """Whether the check has passed. Begins one where none runs, and waits for none."""
        if self._command is None or self._container.status != "running":
            return False
        try:
            if self._running is None:
                self._running = self._api.exec_create(self._container.id, self._command)["Id"]
                self._api.exec_start(self._running, detach=True)
            state = self._api.exec_inspect(self._running)
        except (APIError, OSError):
            # The program exited meanwhile, or the engine is slow: its state shows that later.
            self._running = None
            return False
        if not state["Running"]:
            self._running = None
        return state["ExitCode"] == 0 and not state["Running"]


def check_command(attrs: dict[str, Any]) -> list[str] | None:
    """The health check of a container as a command, or None for one without."""
    match (attrs["Config"].get("Healthcheck") or {}).get("Test"):
        case ["CMD", *command]:
            return command
        case ["CMD-SHELL", line]:
            return [*(attrs["Config"].get("Shell") or ["/bin/sh", "-c"]), line]
    return None


def is_healthy(attrs: dict[str, Any]) -> bool:
    """Whether the engine's own health check has passed."""
    state = attrs["State"]
    return bool(state["Running"]) and state.get("Health", {}).get("Status") == "healthy"


def failure_of(attrs: dict[str, Any]) -> str | None:
    """Why a container will not become healthy by waiting, or None while it may."""
    state = attrs["State"]
    if state.get("Error"):
        return f"the engine could not start it: {state['Error']}"
    if attrs["RestartCount"] and state["Running"]:
        return "its program ended, and the engine started it again"
    if not (state["Running"] or state["Status"] == "created"):
        out_of_memory = ", out of memory" if state.get("OOMKilled") else ""
        return f"its program ended with exit code {state['ExitCode']}{out_of_memory}"
    if state.get("Health", {}).get("Status") == "unhealthy":
        log = state["Health"].get("Log") or [{"ExitCode": 0, "Output": ""}]
        # A check that timed out shows a busy machine, not a broken program.
        if log[-1]["ExitCode"] != CHECK_TIMED_OUT:
            return f"its health check fails: {log[-1]['Output'].strip()}"
    return None


def last_lines(container: Container, count: int) -> str:
    """The end of a container's log."""
    text: str = container.logs(tail=count).decode("utf-8", "replace")
    return text.strip()
