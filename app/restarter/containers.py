"""Decides which container of a service to restart, and whether a restart would help.

Pure functions; `engine` reads the containers from Docker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

# Docker counts its own restarts of a container, and waits longer before each until the container
# has run for ten seconds. With so many restarts, the last one just now, it is in a loop.
LOOP_RESTARTS = 3
LOOP_SECONDS = 10.0

LATE_SECONDS = 5.0
"""How late a health check may run."""

LONGEST_WAIT_SECONDS = 15.0
SELF_RESTARTING = ("always", "unless-stopped")


@dataclass(frozen=True, slots=True)
class Check:
    """One run of a container's own health check."""

    started_at: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Container:
    """A container as Docker reports it. Times are seconds since the epoch, 0 for never.

    :param check_seconds: interval plus timeout of its health check; 0 without a health check.
    """

    id: str
    name: str
    status: str
    started_at: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0
    restart_policy: str = ""
    swarm: bool = False
    health: str = ""
    checks: tuple[Check, ...] = ()
    check_seconds: float = 0.0

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.status == "running"

    @property
    def stopped_by_hand(self) -> bool:
        """Whether someone stopped or paused it.

        With these restart policies Docker restarts a container that exits by itself. So a container
        that is stopped, and had no error at its start, was stopped on purpose.
        """
        if self.status == "paused":
            return True
        stopped = self.status in ("exited", "created")
        return stopped and self.restart_policy in SELF_RESTARTING and not self.error

    def describe(self) -> str:
        """Its name and condition."""
        words = [self.status]
        if self.health and self.running:
            words.append(self.health)
        if self.status in ("exited", "restarting"):
            words.append(f"exit code {self.exit_code}")
        if self.oom_killed:
            words.append("out of memory")
        if self.restart_count:
            words.append(f"restarted {self.restart_count} times by Docker")
        return f"{self.name}: {', '.join(words)}"


@dataclass(frozen=True, slots=True)
class FailureReport:
    """What the monitor reports about a service.

    :param since: when it started to fail.
    :param known_start: containers that started later have not failed a check of the monitor yet.
    :param second_opinion: the service sent no response at all, perhaps because of the network. So
        before a restart, the result of the container's own health check is needed.
    """

    since: float
    known_start: float
    second_opinion: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do: `outcome` is `restart`, or the reason against it as the response names it."""

    outcome: str
    container: Container | None = None
    detail: str = ""
    wait: float | None = None
    hangs: bool = False
    """Whether its own health check fails: it drains no requests when it is stopped."""


def decide(containers: Sequence[Container], report: FailureReport, now: float) -> Decision:
    """Decide what to do about a failing service with these containers."""
    containers = [_without_future(container, now) for container in containers]
    if not containers:
        return Decision("not_found")
    if any(container.swarm for container in containers):
        return Decision("swarm", containers[0], containers[0].name)
    container = choose(containers)
    detail = container.describe()
    if container.stopped_by_hand:
        return Decision("stopped_by_hand", container, detail)
    if _loops(container, now):
        return Decision("looping", container, detail)
    if container.running and container.started_at > report.known_start:
        return Decision("fresh", container, detail)
    if report.second_opinion and container.running and container.check_seconds:
        return _second_opinion(container, report.since, now)
    return Decision("restart", container, detail, hangs=container.health == "unhealthy")


def _without_future(container: Container, now: float) -> Container:
    """Without times that are still to come: the host's clock was set back since, and they would
    be newer than every failure until it has caught up."""
    return replace(
        container,
        started_at=container.started_at if container.started_at <= now else 0.0,
        checks=tuple(check for check in container.checks if check.started_at <= now),
    )


def choose(containers: Sequence[Container]) -> Container:
    """The container to restart: one that is stopped or unhealthy, otherwise any of them.

    Among these the one that started first, so that repeated restarts reach each container in turn.
    """
    active = [container for container in containers if not container.stopped_by_hand]
    candidates = active or list(containers)
    unhealthy = [one for one in candidates if not one.running or one.health == "unhealthy"]
    return min(unhealthy or candidates, key=lambda container: container.started_at)


def _loops(container: Container, now: float) -> bool:
    if container.restart_count < LOOP_RESTARTS:
        return False
    return container.status == "restarting" or now - container.started_at < LOOP_SECONDS


def _second_opinion(container: Container, failing_since: float, now: float) -> Decision:
    last = container.checks[-1] if container.checks else None
    if last and last.passed and last.started_at > failing_since:
        return Decision("healthy_inside", container, container.describe())
    failed = container.health == "unhealthy" or (last is not None and not last.passed)
    until = failing_since + container.check_seconds + LATE_SECONDS
    if not failed and now < until:
        wait = min(until - now, LONGEST_WAIT_SECONDS)
        return Decision("wait", container, container.describe(), wait)
    return Decision("restart", container, container.describe(), hangs=True)
