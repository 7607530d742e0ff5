"""The replicas of one model, and the queue of requests for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count

from app.chat.fleet.capabilities import UNKNOWN, Capabilities
from app.chat.fleet.circuit_breaker import BreakerState
from app.chat.fleet.fair_queue import EVERYONE, Share
from app.chat.fleet.prefix_affinity import PrefixTable
from app.chat.fleet.replica import Replica
from app.chat.fleet.request_queue import RequestQueue
from app.chat.fleet.server import NOT_CHECKED, Health, State
from app.chat.openai.errors import ApiError
from app.chat.settings import TEXT_TASKS, ModelTask, Placeholder

# Of one replica: llama-server has four threads more than slots for requests.
_MOST_BESIDE_SLOTS = 2
_NOTHING_TRIED: frozenset[Replica] = frozenset()
_RETRY_DOWN_SECONDS = 5.0
_LONGEST_RETRY_SECONDS = 60.0
# The page shows it.
_NOT_OFFERED = "its server no longer offers it"
_BEST_FIRST = (State.READY, State.WAKING, State.ASLEEP, State.UNKNOWN, State.LOADING)


@dataclass(frozen=True)
class ModelCard:
    """Public data of a model."""

    id: str
    description: str
    context: int | None
    placeholder: Placeholder | None
    external: bool
    tasks: tuple[ModelTask, ...] = TEXT_TASKS
    owner: str = "llm-stack"


@dataclass(eq=False)
class Ticket:
    """A position in the queue, then a slot of a replica; `leave` frees either."""

    pool: ModelPool
    prompt: Sequence[int]
    tried: frozenset[Replica]
    granted: asyncio.Future[Replica]
    entered: float
    share: Share = EVERYONE
    cost: float = 1.0
    """The number of slots that the request occupies."""
    started: float | None = None
    replica: Replica | None = None
    beside: Replica | None = None
    """The replica that answers it without a slot."""

    @property
    def position(self) -> int:
        """1 for the first in the queue, 0 for a request that is not in the queue."""
        return self.pool.position(self)

    @property
    def waited(self) -> float:
        """Seconds in the queue."""
        return (self.started if self.started is not None else self.pool.clock()) - self.entered

    def leave(self) -> None:
        self.pool.leave(self)


@dataclass(eq=False)
class ModelPool:
    """Assigns the slots of a model's replicas to the owners of the waiting requests in turn.

    A slot is never free while a request waits for it. Of several free replicas, the one with the
    conversation in its prompt cache is preferred, then one that is loaded, then the least busy one.
    A draining replica gets requests only if no other one is available: it still serves, and its
    successor may not yet.
    """

    card: ModelCard
    replicas: Sequence[Replica]
    queue_limit: int
    clock: Callable[[], float]
    queue: RequestQueue[Ticket] = field(init=False)
    prefixes: PrefixTable[Replica] = field(default_factory=PrefixTable)
    _last_grant: int = 0
    _beside: Counter[Replica] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.queue = RequestQueue(self.clock)
        self._join(self.replicas)

    @property
    def slots(self) -> int:
        return sum(replica.slots for replica in self.replicas)

    @property
    def slots_of_replica(self) -> int:
        """Slots of the largest replica."""
        return max((replica.slots for replica in self.replicas), default=1)

    @property
    def model(self) -> str:
        return self.card.id

    @property
    def busy(self) -> int:
        """Slots in use, those that other models of the same servers use included."""
        return sum(replica.busy for replica in self.replicas)

    @property
    def load(self) -> float:
        """Requests in progress or waiting, per available slot."""
        slots = self._available_slots
        return (self.busy + len(self.queue)) / slots if slots else float("inf")

    @property
    def waiting_since(self) -> float:
        return self.queue.oldest

    @property
    def capabilities(self) -> Capabilities:
        """What its replicas report that the model can do."""
        known = (replica.server.capabilities_of(self.model) for replica in self.replicas)
        return next((one for one in known if one is not UNKNOWN), UNKNOWN)

    @property
    def context(self) -> int | None:
        """Tokens per slot: of the configuration, or as a replica reports it."""
        return self.card.context or self.capabilities.context

    @property
    def _available_slots(self) -> int:
        return sum(replica.slots for replica in self.replicas if replica.available)

    @property
    def health(self) -> Health:
        """The best health of the replicas."""
        healths = [replica.effective_health for replica in self.replicas]
        for state in _BEST_FIRST:
            for health in healths:
                if health.state is state:
                    return health
        return healths[0] if healths else Health(State.DOWN, _NOT_OFFERED)

    def enter(
        self,
        prompt: Sequence[int],
        *,
        tried: frozenset[Replica] = _NOTHING_TRIED,
        share: Share = EVERYONE,
        cost: float = 1.0,
    ) -> Ticket:
        """Enter the queue; the ticket's future is done at once if a slot is free.

        A request that has tried a replica already goes to the front, even if the queue is full.
        Of a full queue, the owner with the most requests gives way.
        Raises ApiError 503 if no replica is available, 429 if the queue is full.
        """
        if not any(replica.available for replica in self.replicas):
            raise self._unavailable()
        loop = asyncio.get_running_loop()
        ticket = Ticket(self, prompt, tried, loop.create_future(), self.clock(), share, cost)
        if tried:
            self.queue.add_retry(ticket)
        else:
            self.queue.add(ticket)
        self.dispatch()
        if not tried and ticket.replica is None and len(self.queue) > self.queue_limit:
            self._make_room(ticket)
        return ticket

    def enter_beside(self, tried: frozenset[Replica]) -> Ticket | None:
        """A ticket for a short request, which occupies no slot; None if it has to wait for one.

        It must not load a model, nor take more than a few of the server's threads.
        """
        able = [
            replica
            for replica in self.replicas
            if replica.available
            and replica.breaker.state is BreakerState.CLOSED
            and replica not in tried
            and not replica.health.needs_load
            and not replica.server.external
            and replica.server.most_loaded is None
            and self._beside[replica] < _MOST_BESIDE_SLOTS
        ]
        if not able:
            return None
        replica = min(able, key=lambda one: (one.server.draining, self._beside[one], *_cost(one)))
        self._beside[replica] += 1
        granted = asyncio.get_running_loop().create_future()
        granted.set_result(replica)
        now = self.clock()
        return Ticket(self, (), tried, granted, now, started=now, beside=replica)

    def _make_room(self, entered: Ticket) -> None:
        """Refuse the newest request of the owner that has the most in the queue."""
        excess = self.queue.in_excess(entered)
        self.queue.remove(excess)
        if excess is entered:
            raise self._queue_is_full()
        excess.granted.set_exception(self._queue_is_full())

    def leave(self, ticket: Ticket) -> None:
        """Free the slot or the position in the queue; a second call does nothing."""
        if (beside := ticket.beside) is not None:
            ticket.beside = None
            self._beside[beside] -= 1
            if not self._beside[beside]:
                del self._beside[beside]
        elif (replica := ticket.replica) is not None:
            replica.request_ended()
            ticket.replica = None
            self.queue.ended(ticket)
            replica.server.dispatch()
        elif self.queue.remove(ticket):
            for server in [replica.server for replica in self.replicas]:
                if server.most_loaded is not None:
                    # Another model of the router may have waited for its turn.
                    server.dispatch()
        if ticket.granted.done() and not ticket.granted.cancelled():
            # Mark an exception as retrieved: its owner may have been cancelled before reading it.
            ticket.granted.exception()
        ticket.granted.cancel()

    def change(self, removed: Collection[Replica], added: Sequence[Replica]) -> None:
        """Remove and add replicas. A removed one finishes its requests and gets no new ones.

        An added one gets requests once it is ready, or at once if no other one is available.
        """
        for replica in removed:
            replica.server.queues = [queue for queue in replica.server.queues if queue is not self]
        replicas = [replica for replica in self.replicas if replica not in removed]
        for replica in added:
            names = {other.name for other in replicas}
            numbered = (f"{self.card.id}-{number}" for number in count(1))
            replica.name = next(name for name in numbered if name not in names)
            server = replica.server
            unknown = server.health.state is State.UNKNOWN
            if unknown and any(other.available for other in replicas):
                server.health = Health(State.LOADING, NOT_CHECKED)
            replicas.append(replica)
        self._join(added)
        # A new list, because other code may be iterating over the old one.
        self.replicas = replicas
        self.dispatch()

    def _join(self, replicas: Sequence[Replica]) -> None:
        for replica in replicas:
            replica.server.queues = [*replica.server.queues, self]

    def dispatch(self) -> None:
        """Assign free slots to waiting requests; called whenever a slot may have become free."""
        if not self.queue:
            return
        if not any(replica.available for replica in self.replicas):
            self._reject_queue()
            return
        now = self.clock()
        for ticket in self.queue:
            if not any(replica.has_free_slot(now) for replica in self.replicas):
                return
            if ticket.share.background and not self._has_spare_slot():
                return
            replica = self._choose(ticket)
            if replica is None:
                continue
            self.queue.remove(ticket)
            self._grant(ticket, replica)

    def _has_spare_slot(self) -> bool:
        """Whether a slot stays free for a person beside a request in the background."""
        available = [replica for replica in self.replicas if replica.available]
        slots = sum(replica.slots for replica in available)
        return slots == 1 or slots - sum(replica.busy for replica in available) > 1

    def position(self, ticket: Ticket) -> int:
        """1 for the next in the queue, 0 for a request that is not in the queue."""
        if ticket not in self.queue:
            return 0
        return next(number for number, other in enumerate(self.queue, 1) if other is ticket)

    def _choose(self, ticket: Ticket) -> Replica | None:
        available = [replica for replica in self.replicas if replica.available]
        staying = [replica for replica in available if not replica.server.draining] or available
        # A replica that failed this request gets it again only if no other one is available.
        candidates = [replica for replica in staying if replica not in ticket.tried] or staying
        now = self.clock()
        free = [replica for replica in candidates if replica.has_free_slot(now)]
        if not free:
            return None
        cached = self.prefixes.find(ticket.prompt) if len(free) > 1 else None
        if cached in free:
            return cached
        return min(free, key=_cost)

    def _grant(self, ticket: Ticket, replica: Replica) -> None:
        self._last_grant += 1
        replica.last_used = self._last_grant
        replica.request_started()
        ticket.replica = replica
        ticket.started = self.clock()
        self.queue.started(ticket)
        self.prefixes.record(ticket.prompt, replica)
        ticket.granted.set_result(replica)

    def _reject_queue(self) -> None:
        for ticket in self.queue.take_all():
            ticket.granted.set_exception(self._unavailable())

    def _unavailable(self) -> ApiError:
        health = self.health
        state = "is loading" if health.state is State.LOADING else "is down"
        reason = f": {health.reason}" if health.reason else ""
        waits = [replica.breaker.seconds_left for replica in self.replicas]
        return ApiError(
            503,
            f"{self.card.id} {state}{reason}",
            code=f"model_{health.state.value}",
            param="model",
            retry_after=max(_RETRY_DOWN_SECONDS, min(waits, default=0.0)),
        )

    def _queue_is_full(self) -> ApiError:
        rounds = (len(self.queue) + 1) / max(1, self._available_slots)
        return ApiError(
            429,
            f"{self.card.id} is busy; its queue is full ({len(self.queue)} requests)",
            code="queue_full",
            param="model",
            retry_after=min(self.queue.response_seconds * rounds, _LONGEST_RETRY_SECONDS),
        )


def _cost(replica: Replica) -> tuple[bool, int, int]:
    """Of free replicas, the one with the least gets a request."""
    return (replica.health.needs_load, replica.busy, replica.last_used)
