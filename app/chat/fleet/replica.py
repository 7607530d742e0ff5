"""One model on one running server: its circuit breaker and its load."""

from __future__ import annotations

from dataclasses import dataclass

from app.chat.fleet.circuit_breaker import BreakerState, CircuitBreaker
from app.chat.fleet.server import Health, Server, State


@dataclass(eq=False)
class Replica:
    """A model on a server.

    :param name: for logs, metrics and the page, which never contain IP addresses.
    """

    name: str
    server: Server
    breaker: CircuitBreaker
    in_flight: int = 0
    # Of equally busy replicas, the least recently used one comes first.
    last_used: int = 0

    @property
    def available(self) -> bool:
        """Whether it can be expected to answer a request now."""
        if self.server.health.state in (State.DOWN, State.LOADING):
            return False
        return self.breaker.state is not BreakerState.OPEN

    @property
    def has_free_slot(self) -> bool:
        server = self.server
        return self.available and self.breaker.allows_request and server.in_use < server.slots

    @property
    def effective_health(self) -> Health:
        """The server's health; an open circuit breaker counts as down."""
        health = self.server.health
        if health.state is not State.DOWN and self.breaker.state is BreakerState.OPEN:
            seconds = self.breaker.seconds_left
            return Health(State.DOWN, f"failed repeatedly; next attempt in {seconds:.0f} s")
        return health

    def request_started(self) -> None:
        """A request takes one of the server's slots."""
        self.in_flight += 1
        self.server.in_use += 1
        self.breaker.request_started()

    def request_ended(self) -> None:
        self.in_flight -= 1
        self.server.in_use -= 1
