"""One running server: its URLs, its health, and the slots that its models share."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

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
    """The state of a server, and the reason as the page shows it."""

    state: State
    reason: str | None = None


LOADING = Health(State.LOADING, "the model is loading")


class Queue(Protocol):
    """The requests that wait for one model."""

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
    :param external: whether it is outside of the stack's network, perhaps behind a proxy.
    :param host: the Host header, if `api_url` has an IP address instead of the host name.
    """

    api_url: str
    health_url: str | None
    slots: int
    token: str | None = field(default=None, repr=False)
    discovers: bool = False
    status_url: str | None = None
    external: bool = False
    host: str | None = None
    in_use: int = 0
    # It stops as soon as it is idle.
    draining: bool = False
    health: Health = Health(State.UNKNOWN, NOT_CHECKED)
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

    def dispatch(self) -> None:
        """Assign free slots to its models' waiting requests; the first that arrived comes first."""
        for queue in sorted(self.queues, key=lambda queue: queue.waiting_since):
            queue.dispatch()
