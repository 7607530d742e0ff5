"""Which container a restart is for, and whether it would help. Pure; facts come from `engine`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Docker counts its own restarts, and waits ever longer between them until a container has run for
# ten seconds. One that was restarted so often, and again just now, is in a loop.
LOOP_COUNT = 3
LOOP_SECONDS = 10.0

SLACK = 5.0
"""Seconds that a health check may come late."""

ASK_AGAIN = 15.0
SELF_RESTARTING = ("always", "unless-stopped")


@dataclass(frozen=True, slots=True)
class Check:
    """One run of a container's own health check."""

    begun_at: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Container:
    """What Docker says of a container. Times are seconds since the epoch, 0 for never.

    `check_within`: seconds within which its health check has run and ended; 0 without one.
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
    check_within: float = 0.0

    @property
    def running(self) -> bool:
        """Whether a process of it runs."""
        return self.status == "running"

    @property
    def stopped_by_hand(self) -> bool:
        """Whether someone stopped or paused it. Docker itself restarts what merely exits, so
        a stopped container with such a policy, and without an error in starting it, was meant
        to stop."""
        if self.status == "paused":
            return True
        ended = self.status in ("exited", "created")
        return ended and self.restart_policy in SELF_RESTARTING and not self.error

    def describe(self) -> str:
        """Its condition in a few words."""
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
class Failure:
    """What the monitor saw. `known_start`: it has not yet seen a container fail that was
    started later. `second_opinion`: nothing at all came back from the service, so before a
    restart its own health check inside the container is heard, which no network can disturb.
    """

    since: float
    known_start: float
    second_opinion: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do. `outcome` is `restart`, or why not, in the words of the answer."""

    outcome: str
    container: Container | None = None
    detail: str = ""
    wait: float | None = None


def decide(found: Sequence[Container], failure: Failure, now: float) -> Decision:
    """Decide on a service that fails, and has these containers."""
    if not found:
        return Decision("not_found")
    if any(container.swarm for container in found):
        return Decision("swarm", found[0], found[0].name)
    container = choose(found)
    detail = container.describe()
    if container.stopped_by_hand:
        return Decision("stopped_by_hand", container, detail)
    if _loops(container, now):
        return Decision("looping", container, detail)
    if container.running and container.started_at > failure.known_start:
        return Decision("fresh", container, detail)
    if failure.second_opinion and container.running and container.check_within:
        return _second_opinion(container, failure.since, now)
    return Decision("restart", container, detail)


def choose(found: Sequence[Container]) -> Container:
    """Of several replicas the sick ones come first, then the one that was started longest ago,
    so that repeated restarts go round all of them."""
    meant = [container for container in found if not container.stopped_by_hand] or list(found)
    sick = [entry for entry in meant if not entry.running or entry.health == "unhealthy"]
    return min(sick or meant, key=lambda container: container.started_at)


def _loops(container: Container, now: float) -> bool:
    if container.restart_count < LOOP_COUNT:
        return False
    return container.status == "restarting" or now - container.started_at < LOOP_SECONDS


def _second_opinion(container: Container, failing_since: float, now: float) -> Decision:
    since = [check for check in container.checks if check.begun_at > failing_since]
    if since and since[-1].passed:
        return Decision("healthy_inside", container, container.describe())
    until = failing_since + container.check_within + SLACK
    if not since and container.health != "unhealthy" and now < until:
        wait = min(until - now, ASK_AGAIN)
        return Decision("wait", container, container.describe(), wait)
    return Decision("restart", container, container.describe())
