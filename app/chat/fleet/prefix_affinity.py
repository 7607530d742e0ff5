"""Remembers which replica has read a conversation, so that its next turn meets the prompt cache.

llama-server keeps the prompt of each slot and skips the part that a new prompt shares with it, and
chooses the slot with the longest common prefix by itself. What it cannot do is choose among
replicas: that is done here, from fingerprints of the conversation's beginnings.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

_REMEMBERED = 4096
_BLOCK_CHARACTERS = 512
_BLOCKS = 64

Place = TypeVar("Place")


def fingerprints(body: Mapping[str, Any]) -> Sequence[int]:
    """One number for each beginning of the prompt in a request body, the shortest first.

    Two requests share a number only if they share everything up to that point: after each message
    of a chat, after each block of characters of a plain prompt.
    """
    parts: Sequence[Any]
    match body:
        case {"messages": list(messages)}:
            parts = [json.dumps(message, sort_keys=True) for message in messages]
        case {"prompt": str(prompt)}:
            ends = range(0, min(len(prompt), _BLOCK_CHARACTERS * _BLOCKS), _BLOCK_CHARACTERS)
            parts = [prompt[start : start + _BLOCK_CHARACTERS] for start in ends]
        case _:
            return ()
    numbers = []
    number = 0
    for part in parts:
        number = hash((number, part))
        numbers.append(number)
    return numbers


class PrefixTable(Generic[Place]):
    """Where each prompt was last read; the oldest are forgotten."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._places: OrderedDict[int, Place] = OrderedDict()

    def find(self, prompt: Sequence[int]) -> Place | None:
        """The place that has read the longest known beginning of the prompt."""
        for number in reversed(prompt):
            place = self._places.get(number)
            if place is not None:
                return place
        return None

    def remember(self, prompt: Sequence[int], place: Place) -> None:
        # The whole prompt is enough: the next turn of the same conversation begins with it.
        if not prompt:
            return
        self._places[prompt[-1]] = place
        self._places.move_to_end(prompt[-1])
        if len(self._places) > self._size:
            self._places.popitem(last=False)
