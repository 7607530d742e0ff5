"""The queue of a model: requests of people first, background requests while nobody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from app.chat.fleet.fair_queue import FairQueue, Queued

_Item = TypeVar("_Item", bound=Queued)


class RequestQueue(Generic[_Item]):
    """Two fair queues, of which the first one is served before the second one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._first: FairQueue[_Item] = FairQueue(clock)
        self._background: FairQueue[_Item] = FairQueue(clock)

    def __len__(self) -> int:
        return len(self._first) + len(self._background)

    def __contains__(self, item: _Item) -> bool:
        return item in self._of(item)

    def __iter__(self) -> Iterator[_Item]:
        """The order of service, if each request takes the same time."""
        return chain(self._first, self._background)

    @property
    def owners(self) -> int:
        """How many owners it remembers."""
        return self._first.owners + self._background.owners

    @property
    def oldest(self) -> float:
        """When the request that waits longest entered; infinity if none waits."""
        return min(self._first.oldest, self._background.oldest)

    @property
    def response_seconds(self) -> float:
        """How long a response takes."""
        return self._first.response_seconds

    def add(self, item: _Item) -> None:
        """Add a request behind those of the same owner."""
        self._of(item).add(item)

    def add_retry(self, item: _Item) -> None:
        """Add a request that had a slot already: it comes before all others of its kind."""
        self._of(item).add_retry(item)

    def remove(self, item: _Item) -> bool:
        """Remove a waiting request; returns whether it was in the queue."""
        return self._of(item).remove(item)

    def started(self, item: _Item) -> None:
        """A request that left the queue has a slot."""
        self._of(item).started(item)

    def ended(self, item: _Item) -> None:
        """A request gave its slot back."""
        self._of(item).ended(item)

    def in_excess(self, entered: _Item) -> _Item:
        """The request that gives way in a full queue: one in the background, if there is one.

        :param entered: the newest request.
        """
        if self._background.has_new and not entered.share.background:
            return self._background.newest_of_largest()
        return self._of(entered).in_excess(entered)

    def take_all(self) -> list[_Item]:
        """Empty the queue; returns what was in it."""
        return [*self._first.take_all(), *self._background.take_all()]

    def _of(self, item: _Item) -> FairQueue[_Item]:
        return self._background if item.share.background else self._first
