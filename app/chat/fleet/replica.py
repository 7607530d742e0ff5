"""One model on one running server: its circuit breaker and its load."""

from __future__ import annotations

from dataclasses import dataclass

from app.chat.fleet.circuit_breaker import BreakerState, CircuitBreaker
from app.chat.fleet.server import WAKING, Health, Server, State


@dataclass(eq=False)
class Replica:
    """A model on a server.

    :param model: its name in requests.
    :param name: for logs, metrics and the page, which never contain IP addresses.
    :param own_slots: of a model that has slots of its own on a router.
    """

    model: str
    name: str
    server: Server
    breaker: CircuitBreaker
    own_slots: int | None = None
    in_flight: int = 0
    # Of equally busy replicas, the least recently used one comes first.
    last_used: int = 0

    @property
    def slots(self) -> int:
        return self.server.slots if self.own_slots is None else self.own_slots

    @property
    def busy(self) -> int:
        """Slots in use, those that other models of the server use included."""
        return self.server.in_use if self.own_slots is None else self.in_flight

    @property
    def health(self) -> Health:
        """The health of the model, without its circuit breaker."""
        health = self.server.health_of(self.model)
        return WAKING if health.state is State.ASLEEP and self.in_flight else health

    @property
    def available(self) -> bool:
        """Whether it can be expected to answer a request now."""
        if self.health.state in (State.DOWN, State.LOADING):
            return False
        return self.breaker.state is not BreakerState.OPEN

    def has_free_slot(self, now: float) -> bool:
        """Whether it can work on one more request."""
        return (
            self.busy < self.slots
            and self.available
            and self.breaker.allows_request
            and self.server.has_place(self.model, now)
        )

    @property
    def effective_health(self) -> Health:
        """The model's health; an open circuit breaker counts as down."""
        health = self.health
        if health.state is not State.DOWN and self.breaker.state is BreakerState.OPEN:
            seconds = self.breaker.seconds_left
            return Health(State.DOWN, f"failed repeatedly; next attempt in {seconds:.0f} s")
        return health

    def request_started(self) -> None:
        """A request takes a slot."""
        self.in_flight += 1
        self.server.request_started(self.model)
        self.breaker.request_started()
        if self.health.needs_load:
            # The checks show when it is loaded.
            self.server.check_now.set()

    def request_ended(self) -> None:
        self.in_flight -= 1
        self.server.request_ended(self.model)
