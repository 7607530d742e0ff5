"""One running model server, as the gateway sees it: where it is, how it fares, how busy it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from app.chat.fleet.circuit_breaker import BreakerState, CircuitBreaker

# In the words of a user, since the page shows them.
NAME_NOT_KNOWN = "its name is not known on the network"
NOT_ASKED = "was not asked yet"


class State(StrEnum):
    UNKNOWN = "unknown"
    READY = "ready"
    LOADING = "loading"
    DOWN = "down"


@dataclass(frozen=True)
class Health:
    """What is known of a replica, and why, in words that a user of the page may read."""

    state: State
    reason: str | None = None


@dataclass(eq=False)
class Replica:
    """A model server and the requests that it is working on.

    :param name: what logs, metrics and the page call it; an address never leaves the gateway.
    :param api_url: the address to which `/chat/completions` is appended.
    :param health_url: asked from time to time; None for a service that cannot be asked.
    :param status_url: tells whether the server is draining; None for one that cannot tell.
    :param external: whether it is outside of the stack's network; a proxy may lead to it.
    :param host: what a request calls the server, where its address stands in place of its name.
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
    # Orders equally busy replicas: the one that was used longest ago comes first.
    last_used: int = 0
    # It will end as soon as it has nothing to do.
    draining: bool = False
    health: Health = Health(State.UNKNOWN, NOT_ASKED)
    # When it last sent a piece of an answer, on the event loop's clock.
    last_heard: float = 0.0
    # Set when a request found the replica in trouble, so that it is asked again at once.
    doubt: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def answers(self) -> bool:
        """False while there is no hope that it answers a request now."""
        if self.health.state in (State.DOWN, State.LOADING):
            return False
        return self.breaker.state is not BreakerState.OPEN

    @property
    def has_room(self) -> bool:
        return self.answers and self.breaker.lets_pass and self.in_flight < self.slots

    @property
    def trouble(self) -> Health:
        """Its health, where an open breaker counts as down."""
        if self.health.state is not State.DOWN and self.breaker.state is BreakerState.OPEN:
            seconds = self.breaker.seconds_left
            return Health(State.DOWN, f"failed repeatedly; is tried again in {seconds:.0f} s")
        return self.health

    def lost(self, reason: str) -> None:
        """A request found nobody there; a health check has to find it again."""
        if self.health_url is None:
            return
        self.health = Health(State.DOWN, reason)
        self.doubt.set()
