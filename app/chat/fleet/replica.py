"""One running model server: its URLs, health and load."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from app.chat.fleet.circuit_breaker import BreakerState, CircuitBreaker

# The page shows these texts.
UNKNOWN_HOST = "its host name does not resolve"
NOT_CHECKED = "not checked yet"


class State(StrEnum):
    UNKNOWN = "unknown"
    READY = "ready"
    LOADING = "loading"
    DOWN = "down"


@dataclass(frozen=True)
class Health:
    """The state of a replica, and the reason as the page shows it."""

    state: State
    reason: str | None = None


@dataclass(eq=False)
class Replica:
    """A model server and its number of running requests.

    :param name: for logs, metrics and the page, which never contain IP addresses.
    :param api_url: the URL to which `/chat/completions` is appended.
    :param health_url: None for a service without a health check.
    :param status_url: reports whether the server is draining; None if it does not.
    :param external: whether it is outside of the stack's network, perhaps behind a proxy.
    :param host: the Host header, if `api_url` has an IP address instead of the host name.
    """

    name: str
    api_url: str
    health_url: str | None
    slots: int
    breaker: CircuitBreaker
    token: str | None = field(default=None, repr=False)
    status_url: str | None = None
    external: bool = False
    host: str | None = None
    in_flight: int = 0
    # Of equally busy replicas, the least recently used one comes first.
    last_used: int = 0
    # It stops as soon as it is idle.
    draining: bool = False
    health: Health = Health(State.UNKNOWN, NOT_CHECKED)
    # When it last sent a chunk, on the clock of the event loop.
    last_activity: float = 0.0
    # Set when a request found a problem, to run a health check at once.
    check_now: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def available(self) -> bool:
        """Whether it can be expected to answer a request now."""
        if self.health.state in (State.DOWN, State.LOADING):
            return False
        return self.breaker.state is not BreakerState.OPEN

    @property
    def has_free_slot(self) -> bool:
        return self.available and self.breaker.allows_request and self.in_flight < self.slots

    @property
    def effective_health(self) -> Health:
        """Its health; an open circuit breaker counts as down."""
        if self.health.state is not State.DOWN and self.breaker.state is BreakerState.OPEN:
            seconds = self.breaker.seconds_left
            return Health(State.DOWN, f"failed repeatedly; next attempt in {seconds:.0f} s")
        return self.health

    def mark_unreachable(self, reason: str) -> None:
        """A request could not connect; mark it as down until a health check succeeds."""
        if self.health_url is None:
            return
        self.health = Health(State.DOWN, reason)
        self.check_now.set()
