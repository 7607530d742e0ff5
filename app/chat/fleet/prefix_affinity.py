"""Records which replica processed a conversation, so that the next turn uses its prompt cache.

llama-server caches the prompt of each slot, skips the prefix that a new prompt shares with it, and
chooses the slot with the longest common prefix itself. The choice of the replica is made here, with
fingerprints of the prefixes of the conversation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

_SIZE = 4096
# A longer conversation is recognized by its beginning.
_MOST_PARTS = 2048

Place = TypeVar("Place")


def fingerprints(parts: Sequence[Any]) -> Sequence[int]:
    """One number for each prefix of the parts of a prompt, the shortest first.

    Two requests share a number only if they share everything up to that point.
    """
    numbers = []
    number = 0
    for part in parts[:_MOST_PARTS]:
        number = hash((number, part if isinstance(part, str) else repr(part)))
        numbers.append(number)
    return numbers


class PrefixTable(Generic[Place]):
    """The place that last processed each prompt; drops the oldest entries."""

    def __init__(self, size: int = _SIZE) -> None:
        self._size = size
        self._places: OrderedDict[int, Place] = OrderedDict()

    def find(self, prompt: Sequence[int]) -> Place | None:
        """The place with the longest recorded prefix of the prompt."""
        for number in reversed(prompt):
            place = self._places.get(number)
            if place is not None:
                return place
        return None

    def record(self, prompt: Sequence[int], place: Place) -> None:
        # Only the whole prompt: the next turn of the conversation starts with it.
        if not prompt:
            return
        self._places[prompt[-1]] = place
        self._places.move_to_end(prompt[-1])
        if len(self._places) > self._size:
            self._places.popitem(last=False)
