"""A queue that divides the slots of a model between the owners of the waiting requests.

Start-time fair queueing: each owner has a virtual time, which is the slot time that its requests
have used, divided by its weight. The owner with the least virtual time is next. An owner without a
waiting request collects no credit: its virtual time continues at that of the others.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# The assumed duration of a response until the first one has ended.
_INITIAL_RESPONSE_SECONDS = 10.0
_SMOOTHING = 0.2
# One very long response must not keep its owner waiting for as long as it took.
_LONGEST_DEBT_SECONDS = 60.0
# Owners without requests are forgotten above this number.
_MOST_OWNERS = 1024


@dataclass(frozen=True)
class Share:
    """The owner of a request, and its weight in relation to other owners.

    :param background: whether the request waits until no other one does.
    """

    owner: str = "anonymous"
    weight: float = 1.0
    background: bool = False


EVERYONE = Share()


class Queued(Protocol):
    """What can be in the queue."""

    @property
    def share(self) -> Share: ...

    @property
    def cost(self) -> float:
        """The number of slots that it occupies."""

    @property
    def entered(self) -> float: ...


_Item = TypeVar("_Item", bound=Queued)


@dataclass(eq=False)
class _Account(Generic[_Item]):
    """The requests of one owner, and the slot time that they used."""

    weight: float = 1.0
    waiting: deque[_Item] = field(default_factory=deque)
    running: int = 0
    used: float = 0.0
    """By requests that ended, divided by the weight."""
    slots: float = 0.0
    """In use now."""
    starts: float = 0.0
    """The sum of the times at which these slots were assigned."""

    @property
    def size(self) -> float:
        """Of what waits, in relation to the weight."""
        return len(self.waiting) / self.weight

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.running

    def virtual_time(self, now: float) -> float:
        return self.used + (self.slots * now - self.starts) / self.weight


class FairQueue(Generic[_Item]):
    """Requests in the order in which they are to be served: fair by owner, first in first out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account[_Item]] = {}
        self._retries: deque[_Item] = deque()
        self._started: dict[_Item, float] = {}
        self._length = 0
        self.response_seconds = _INITIAL_RESPONSE_SECONDS
        """How long a response takes, smoothed over the last ones."""
        self._virtual_time = 0.0
        """That of the owner that was served last."""

    def __len__(self) -> int:
        return self._length

    def __contains__(self, item: _Item) -> bool:
        account = self._accounts.get(item.share.owner)
        return item in self._retries or (account is not None and item in account.waiting)

    def __iter__(self) -> Iterator[_Item]:
        """The order of service, if each request takes the same time."""
        yield from list(self._retries)
        heads = [
            (self._time_of(account), account.running, account.waiting[0].entered, number, account)
            for number, account in enumerate(self._accounts.values())
            if account.waiting
        ]
        heapq.heapify(heads)
        waiting = {id(account): list(account.waiting) for *_, account in heads}
        indexes = dict.fromkeys(waiting, 0)
        while heads:
            used, running, _, number, account = heads[0]
            items = waiting[id(account)]
            index = indexes[id(account)]
            item = items[index]
            indexes[id(account)] = index + 1
            if index + 1 < len(items):
                used += self.response_seconds * item.cost / account.weight
                after = (used, running + 1, items[index + 1].entered, number, account)
                heapq.heapreplace(heads, after)
            else:
                heapq.heappop(heads)
            yield item

    @property
    def owners(self) -> int:
        """How many owners it remembers."""
        return len(self._accounts)

    @property
    def oldest(self) -> float:
        """When the request that waits longest entered; infinity if none waits."""
        heads = [account.waiting[0] for account in self._accounts.values() if account.waiting]
        return min((item.entered for item in (*heads, *self._retries)), default=float("inf"))

    def add(self, item: _Item) -> None:
        """Add a request behind those of the same owner."""
        account = self._account(item.share)
        if not account.waiting:
            account.used += max(0.0, self._virtual_time - self._time_of(account))
        account.waiting.append(item)
        self._length += 1

    def add_retry(self, item: _Item) -> None:
        """Add a request that had a slot already: it comes before all others."""
        self._account(item.share)
        self._retries.appendleft(item)
        self._length += 1

    def remove(self, item: _Item) -> bool:
        """Remove a waiting request; returns whether it was in the queue."""
        account = self._accounts.get(item.share.owner)
        for items in (self._retries, account.waiting if account is not None else None):
            if items is not None and item in items:
                items.remove(item)
                self._length -= 1
                return True
        return False

    def started(self, item: _Item) -> None:
        """A request that left the queue has a slot; from now on its owner uses slot time."""
        account = self._account(item.share)
        self._virtual_time = max(self._virtual_time, self._time_of(account))
        self._started[item] = now = self._clock()
        account.running += 1
        account.slots += item.cost
        account.starts += item.cost * now

    def ended(self, item: _Item) -> None:
        """A request gave its slot back."""
        account = self._account(item.share)
        started = self._started.pop(item)
        seconds = self._clock() - started
        account.running -= 1
        account.slots -= item.cost
        account.starts -= item.cost * started
        account.used += seconds * item.cost / account.weight
        account.used -= max(0.0, account.virtual_time(self._clock()) - self._time_of(account))
        self.response_seconds += _SMOOTHING * (seconds - self.response_seconds)

    def in_excess(self, entered: _Item) -> _Item:
        """The request that gives way in a full queue: the newest one of the largest owner.

        :param entered: the newest request, which gives way if no other owner has more.
        """
        largest = self._largest()
        if self._accounts[entered.share.owner].size >= largest.size:
            return entered
        return largest.waiting[-1]

    @property
    def has_new(self) -> bool:
        """Whether a request waits that did not have a slot yet."""
        return len(self) > len(self._retries)

    def newest_of_largest(self) -> _Item:
        """The newest request of the owner that has the most."""
        return self._largest().waiting[-1]

    def _largest(self) -> _Account[_Item]:
        waiting = (one for one in self._accounts.values() if one.waiting)
        return max(waiting, key=lambda account: account.size)

    def take_all(self) -> list[_Item]:
        """Empty the queue; returns what was in it."""
        items = list(self)
        self._retries.clear()
        for account in self._accounts.values():
            account.waiting.clear()
        self._length = 0
        return items

    def _time_of(self, account: _Account[_Item]) -> float:
        """The virtual time of an owner."""
        latest = self._virtual_time + _LONGEST_DEBT_SECONDS
        return min(account.virtual_time(self._clock()), latest)

    def _account(self, share: Share) -> _Account[_Item]:
        account = self._accounts.get(share.owner)
        if account is None:
            if len(self._accounts) >= _MOST_OWNERS:
                self._forget_idle_owners()
            account = self._accounts[share.owner] = _Account(used=self._virtual_time)
        if account.idle:
            account.weight = share.weight
        return account

    def _forget_idle_owners(self) -> None:
        retrying = {item.share.owner for item in self._retries}
        self._accounts = {
            owner: account
            for owner, account in self._accounts.items()
            if not account.idle or owner in retrying
        }
