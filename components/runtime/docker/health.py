"""Waits until a container serves, or until it is clear that it will not, and why."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pulumi
from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from components.engine.client import docker_client, run_blocking
from components.runtime.docker.question import Question

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


# A program that has no health check and cannot be asked has started once it has run so long.
SETTLED_SECONDS = 10


@dataclass(frozen=True)
class Expected:
    """When a container counts as healthy beside its own health check."""

    is_job: bool = False
    """Once its program has ended with exit code 0."""
    question: str | None = None
    """Without a health check: once this URL answers, `{address}` being the container's address."""
    asking_image: str | None = None


class NotHealthy(Exception):
    """A container that will not become healthy; `str()` has the reason and its last log lines."""


async def wait_until_healthy(
    container_id: str,
    time_limit: int,
    docker_host: str | None,
    reporter: pulumi.Resource | None,
    expected: Expected = Expected(),
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
        if container.status == "exited" and not _has_completed(container, expected):
            await run_blocking(container.start)
        with _check(client, container, expected, time_limit) as check:
            try:
                async with asyncio.timeout(time_limit):
                    failure = await _failure_while_waiting(container, check, reporter)
            except TimeoutError:
                state = "ended" if expected.is_job else "healthy"
                reason = await run_blocking(check.reason)
                failure = f"not {state} after {time_limit} s{f'; {reason}' if reason else ''}"
        if failure:
            last_log = await run_blocking(last_lines, container, LAST_LINES)
            await run_blocking(container.stop, timeout=STOP_SECONDS)
            raise NotHealthy(f"{container.name}: {failure}\n{last_log}")
    finally:
        client.close()


async def _failure_while_waiting(
    container: Container, check: Check, reporter: pulumi.Resource | None
) -> str | None:
    """Wait for health, and log the container's newest line now and then; None once healthy."""
    started = time.monotonic()
    reported = ""
    while True:
        await run_blocking(container.reload)
        if not isinstance(check, Completion) and is_healthy(container.attrs):
            return None
        if await run_blocking(check.passes):
            return None
        if failure := failure_of(container.attrs):
            return failure
        waited = time.monotonic() - started
        if waited > PROGRESS_SECONDS:
            last_log = await run_blocking(last_lines, container, 1)
            if last_log != reported:
                pulumi.log.info(f"waiting for health, {waited:.0f} s: {last_log}", reporter)
            reported = last_log
        await asyncio.sleep(min(max(POLL_SECONDS, waited * POLL_SHARE), LONGEST_POLL_SECONDS))


class Check(Protocol):
    """What decides that a container is healthy, beside the engine's own verdict."""

    def passes(self) -> bool:
        """Whether it is; does not wait."""

    def reason(self) -> str:
        """Why not, as far as the check shows it."""


@contextlib.contextmanager
def _check(
    client: DockerClient, container: Container, expected: Expected, time_limit: int
) -> Iterator[Check]:
    if expected.is_job:
        yield Completion(container)
    elif check_command(container.attrs) is not None:
        yield EarlyCheck(client, container)
    elif expected.question and expected.asking_image:
        asked = (expected.question, expected.asking_image, time_limit)
        with Question(client, container, *asked) as question:
            yield question
    else:
        yield Settled(container)


@dataclass(frozen=True)
class Completion:
    """Whether the program of a job has ended well."""

    container: Container

    def passes(self) -> bool:
        return _has_completed(self.container, Expected(is_job=True))

    def reason(self) -> str:
        return ""


def _has_completed(container: Container, expected: Expected) -> bool:
    state = container.attrs["State"]
    # A container that never ran has exit code 0 as well.
    ran = not state["StartedAt"].startswith("0001-")
    return expected.is_job and ran and state["Status"] == "exited" and state["ExitCode"] == 0


@dataclass
class Settled:
    """Whether a program without any health check runs for a while without having ended."""

    container: Container
    started: float = field(default_factory=time.monotonic)

    def passes(self) -> bool:
        if not self.container.attrs["State"]["Running"]:
            self.started = time.monotonic()
        return time.monotonic() - self.started >= SETTLED_SECONDS

    def reason(self) -> str:
        return f"its program has not run for {SETTLED_SECONDS} s"


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

    def reason(self) -> str:
        """What the engine's own run of the check has printed."""
        log = (self._container.attrs["State"].get("Health") or {}).get("Log") or []
        return f"its health check: {log[-1]['Output'].strip()}" if log else ""


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
