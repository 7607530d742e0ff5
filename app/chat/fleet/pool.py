"""The replicas of one model and the bounded line of requests in front of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count

from app.chat.fleet.prefix_affinity import PrefixTable
from app.chat.fleet.replica import NOT_ASKED, Health, Replica, State
from app.chat.fleet.site import Site
from app.chat.openai.errors import ApiError
from app.chat.settings import Placeholder

_NOTHING_TRIED: frozenset[Replica] = frozenset()
# Until a model has answered once, this is how long an answer is taken to last.
_FIRST_GUESS_SECONDS = 10.0
_SMOOTHING = 0.2
_RETRY_DOWN_SECONDS = 5.0
_LONGEST_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class ModelCard:
    """What clients are told about a model."""

    id: str
    description: str
    context: int | None
    placeholder: Placeholder | None
    external: bool


@dataclass(eq=False)
class Ticket:
    """A place in the line, then a slot of a replica; `leave` gives back whichever it is."""

    pool: ModelPool
    prompt: Sequence[int]
    tried: frozenset[Replica]
    granted: asyncio.Future[Replica]
    entered: float
    started: float | None = None
    replica: Replica | None = None

    @property
    def position(self) -> int:
        """1 for the next in line, 0 for a request that waits no longer."""
        return self.pool.position(self)

    @property
    def waited(self) -> float:
        """Seconds in the line."""
        return (self.started if self.started is not None else self.pool.clock()) - self.entered

    def leave(self) -> None:
        self.pool.leave(self)


@dataclass(eq=False)
class ModelPool:
    """Hands out the slots of a model's replicas, first come first served.

    A slot is never left free while somebody waits for it. Among the free ones, the replica that
    knows the conversation is preferred, then the least busy one. A replica that is draining gets
    requests only while no other one answers: it still can, and its successor may not yet.
    """

    card: ModelCard
    replicas: Sequence[Replica]
    longest_line: int
    clock: Callable[[], float]
    sites: Sequence[Site] = ()
    line: deque[Ticket] = field(default_factory=deque)
    prefixes: PrefixTable[Replica] = field(default_factory=PrefixTable)
    _turn: int = 0
    _answer_seconds: float = _FIRST_GUESS_SECONDS

    @property
    def slots(self) -> int:
        return sum(replica.slots for replica in self.replicas)

    @property
    def in_flight(self) -> int:
        return sum(replica.in_flight for replica in self.replicas)

    @property
    def load(self) -> float:
        """Requests in work or waiting, per slot that answers."""
        slots = sum(replica.slots for replica in self.replicas if replica.answers)
        return (self.in_flight + len(self.line)) / slots if slots else float("inf")

    @property
    def health(self) -> Health:
        """The best of the replicas' states."""
        healths = [replica.trouble for replica in self.replicas]
        for state in (State.READY, State.UNKNOWN, State.LOADING):
            for health in healths:
                if health.state is state:
                    return health
        return healths[0]

    def enter(self, prompt: Sequence[int], *, tried: frozenset[Replica] = _NOTHING_TRIED) -> Ticket:
        """Join the line; the ticket's future is done at once when a slot is free.

        A request that has tried a replica already goes to the front, however long the line is.
        Raises ApiError: 503 when no replica answers, 429 when the line is full.
        """
        if not any(replica.answers for replica in self.replicas):
            raise self._nobody_answers()
        loop = asyncio.get_running_loop()
        ticket = Ticket(self, prompt, tried, loop.create_future(), self.clock())
        if tried:
            self.line.appendleft(ticket)
        else:
            self.line.append(ticket)
        self.dispatch()
        if not tried and ticket.replica is None and len(self.line) > self.longest_line:
            self.line.remove(ticket)
            raise self._line_is_full()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give back the slot or the place in the line; a second call does nothing."""
        if ticket.replica is not None:
            ticket.replica.in_flight -= 1
            ticket.replica = None
            seconds = self.clock() - (ticket.started or 0.0)
            self._answer_seconds += _SMOOTHING * (seconds - self._answer_seconds)
            self.dispatch()
        elif ticket in self.line:
            self.line.remove(ticket)
        if ticket.granted.done() and not ticket.granted.cancelled():
            # Its owner may have gone before reading that it was turned away.
            ticket.granted.exception()
        ticket.granted.cancel()

    def change(self, gone: Collection[Replica], new: Sequence[Replica]) -> None:
        """Take replicas in and out. What leaves gets no further request, and ends those it has.

        A new one has to be ready before it gets a request, unless nobody else answers.
        """
        replicas = [replica for replica in self.replicas if replica not in gone]
        for replica in new:
            names = {other.name for other in replicas}
            numbered = (f"{self.card.id}-{number}" for number in count(1))
            replica.name = next(name for name in numbered if name not in names)
            unknown = replica.health.state is State.UNKNOWN
            if unknown and any(other.answers for other in replicas):
                replica.health = Health(State.LOADING, NOT_ASKED)
            replicas.append(replica)
        # Another list: somebody may be reading the old one.
        self.replicas = replicas
        self.dispatch()

    def dispatch(self) -> None:
        """Give free slots to those who wait; called whenever something may have become free."""
        if not self.line:
            return
        if not any(replica.answers for replica in self.replicas):
            self._turn_everybody_away()
            return
        for ticket in list(self.line):
            if not any(replica.has_room for replica in self.replicas):
                return
            replica = self._choose(ticket)
            if replica is None:
                continue
            self.line.remove(ticket)
            self._grant(ticket, replica)

    def position(self, ticket: Ticket) -> int:
        if ticket.replica is not None:
            return 0
        try:
            return self.line.index(ticket) + 1
        except ValueError:
            return 0

    def _choose(self, ticket: Ticket) -> Replica | None:
        staying = [replica for replica in self.replicas if not replica.draining]
        candidates = staying if any(replica.answers for replica in staying) else self.replicas
        # A replica that failed this request gets it again only when no other one answers.
        others = [replica for replica in candidates if replica not in ticket.tried]
        if any(replica.answers for replica in others):
            candidates = others
        free = [replica for replica in candidates if replica.has_room]
        if not free:
            return None
        known = self.prefixes.find(ticket.prompt) if len(free) > 1 else None
        if known in free:
            return known
        return min(free, key=lambda replica: (replica.in_flight, replica.last_used))

    def _grant(self, ticket: Ticket, replica: Replica) -> None:
        self._turn += 1
        replica.last_used = self._turn
        replica.in_flight += 1
        replica.breaker.begin()
        ticket.replica = replica
        ticket.started = self.clock()
        self.prefixes.remember(ticket.prompt, replica)
        ticket.granted.set_result(replica)

    def _turn_everybody_away(self) -> None:
        while self.line:
            self.line.popleft().granted.set_exception(self._nobody_answers())

    def _nobody_answers(self) -> ApiError:
        health = self.health
        word = "is loading" if health.state is State.LOADING else "is down"
        reason = f": {health.reason}" if health.reason else ""
        waits = [replica.breaker.seconds_left for replica in self.replicas]
        return ApiError(
            503,
            f"{self.card.id} {word}{reason}",
            code=f"model_{health.state.value}",
            param="model",
            retry_after=max(_RETRY_DOWN_SECONDS, min(waits)),
        )

    def _line_is_full(self) -> ApiError:
        answering = sum(replica.slots for replica in self.replicas if replica.answers)
        seconds = self._answer_seconds * (len(self.line) + 1) / max(1, answering)
        return ApiError(
            429,
            f"{self.card.id} is busy, and {len(self.line)} requests wait for it already",
            code="queue_full",
            param="model",
            retry_after=min(seconds, _LONGEST_RETRY_SECONDS),
        )
