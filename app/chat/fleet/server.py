"""One running server: its URLs, its health, and the slots that its models share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from app.chat.fleet.capabilities import UNKNOWN, Capabilities

# The page shows these texts.
UNKNOWN_HOST = "its host name does not resolve"
NOT_CHECKED = "not checked yet"


class State(StrEnum):
    UNKNOWN = "unknown"
    READY = "ready"
    # Not in memory: the next request loads it, and waits meanwhile.
    ASLEEP = "asleep"
    # Loads its model for requests that wait.
    WAKING = "waking"
    # Loads its model, and refuses requests until then.
    LOADING = "loading"
    DOWN = "down"


_ANSWERING = frozenset({State.READY, State.ASLEEP, State.WAKING})


@dataclass(frozen=True)
class Health:
    """The state of a server or of one of its models, and the reason as the page shows it."""

    state: State
    reason: str | None = None

    @property
    def answers(self) -> bool:
        """Whether it answers a request, perhaps after its model is loaded."""
        return self.state in _ANSWERING

    @property
    def needs_load(self) -> bool:
        """Whether the answer to a request waits until the model is loaded."""
        return self.state in (State.ASLEEP, State.WAKING)


LOADING = Health(State.LOADING, "the model is loading")
ASLEEP = Health(State.ASLEEP, "not in memory; the next request loads it")
WAKING = Health(State.WAKING, "the model is loading; requests wait for it")

# Seconds for which a model of a router gets requests while one that is not loaded waits. Each
# change costs the time of a load, so the waiting requests of a model share one.
LONGEST_TURN = 10.0


class Queue(Protocol):
    """The requests that wait for one model."""

    @property
    def model(self) -> str:
        """Its name."""

    @property
    def waiting_since(self) -> float:
        """When the first request of the queue arrived; infinity if none waits."""

    def dispatch(self) -> None:
        """Assign free slots to waiting requests."""


@dataclass(eq=False)
class Server:
    """A server at one address. It has one model, or several that share its slots.

    :param api_url: the URL to which `/chat/completions` is appended.
    :param health_url: None for a server without a health check.
    :param discovers: whether its list of models decides which models it has.
    :param status_url: reports whether the server is draining; None if it does not.
    :param props_url: of a llama-server: reports its capabilities, and whether it sleeps.
    :param sleeps: whether it gives its memory back while it is idle.
    :param most_loaded: of a router, the models that it has in memory at once; None for a server
        that is none. A router loads a model for a request, and unloads an idle one for it.
    :param external: whether it is outside of the stack's network, perhaps behind a proxy.
    :param host: the Host header, if `api_url` has an IP address instead of the host name.
    """

    api_url: str
    health_url: str | None
    slots: int
    token: str | None = field(default=None, repr=False)
    discovers: bool = False
    status_url: str | None = None
    props_url: str | None = None
    sleeps: bool = False
    most_loaded: int | None = None
    external: bool = False
    host: str | None = None
    in_use: int = 0
    # It stops as soon as it is idle.
    draining: bool = False
    health: Health = Health(State.UNKNOWN, NOT_CHECKED)
    # Of a router: the health of each model, and the number of requests that it works on.
    model_health: Mapping[str, Health] = field(default_factory=dict)
    active: Counter[str] = field(default_factory=Counter, repr=False)
    # By model, since it was last loaded.
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict, repr=False)
    # The models of its last list, and when it was read on the gateway's clock.
    models: tuple[str, ...] | None = None
    listed_at: float = 0.0
    # When it last sent a chunk, on the clock of the event loop.
    last_activity: float = 0.0
    # Set when a request found a problem, to run a health check at once.
    check_now: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    queues: Collection[Queue] = field(default=(), repr=False)
    """Of its models, while they are served."""

    @property
    def root_url(self) -> str:
        """The URL to which `/tokenize` is appended: llama-server has some APIs outside of `/v1`."""
        return self.api_url.removesuffix("/v1")

    @property
    def is_checked(self) -> bool:
        return self.health_url is not None or self.discovers

    def offers(self, model: str) -> bool:
        """Whether it may have the model: without a list, any that its configuration names."""
        return self.models is None or model in self.models

    def mark_unreachable(self, reason: str) -> None:
        """A request could not connect; mark it as down until a health check succeeds."""
        if self.is_checked:
            self.health = Health(State.DOWN, reason)
            self.check_now.set()

    def mark_loading(self) -> None:
        """A request was refused because its model is loading; the next health check decides."""
        # Of several models, only the requested one may be loading.
        if self.is_checked and len(self.queues) == 1:
            self.health = LOADING
            self.check_now.set()

    def health_of(self, model: str) -> Health:
        """The health of one of its models."""
        if not self.health.answers:
            return self.health
        return self.model_health.get(model, self.health)

    def capabilities_of(self, model: str) -> Capabilities:
        """What it reports that one of its models can do."""
        return self.capabilities.get(model, UNKNOWN)

    @property
    def wakes(self) -> bool:
        """Whether a request waits until one of its models is loaded."""
        return any(self.health_of(model).needs_load for model in self.active)

    def mark_awake(self, model: str) -> None:
        """The model generates tokens, so it is loaded."""
        if self.health.needs_load:
            self.health = Health(State.READY)
        if self.health_of(model).needs_load:
            self.model_health = {**self.model_health, model: Health(State.READY)}
            # It has the place of another one, which the next check shows.
            self.check_now.set()

    def has_place(self, model: str, now: float) -> bool:
        """Whether a router can work on a request for this model without unloading a busy one.

        A model in use keeps its place, until another one has waited for it for too long.
        """
        if self.most_loaded is None:
            return True
        full = len(self.active) >= self.most_loaded
        if model not in self.active:
            return not full
        return not full or not any(
            queue.waiting_since < now - LONGEST_TURN
            for queue in self.queues
            if queue.model not in self.active
        )

    def request_started(self, model: str) -> None:
        self.in_use += 1
        self.active[model] += 1

    def request_ended(self, model: str) -> None:
        self.in_use -= 1
        self.active[model] -= 1
        if not self.active[model]:
            # A count of zero would still be a member.
            del self.active[model]

    def dispatch(self) -> None:
        """Assign free slots to its models' waiting requests; the first that arrived comes first."""
        for queue in sorted(self.queues, key=lambda queue: queue.waiting_since):
            queue.dispatch()
