"""Server-sent events, as far as a relay needs them: where events end, and their data.

Source of the format: the HTML standard, "Server-sent events". It only scans bytes: nothing is
decoded while a response streams.
"""

from __future__ import annotations

import json
from typing import Any

_LONGEST_EVENT = 4 * 2**20


class EventTooLong(Exception):
    """An event is larger than the buffer for incomplete events."""


class EventBuffer:
    """Passes complete events on, and buffers the beginning of an incomplete one.

    So a comment can be inserted between two events at any time, and the client never gets half an
    event when the connection to the model server breaks.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def empty(self) -> bool:
        """Whether no event has begun."""
        return not self._rest

    def feed(self, chunk: bytes) -> bytes:
        """The events that are complete now; may be empty. Raises EventTooLong."""
        if not self._rest and chunk.endswith((b"\n\n", b"\r\n\r\n")):
            return chunk
        buffered = self._rest + chunk
        end = max(_after(buffered, b"\n\n"), _after(buffered, b"\r\n\r\n"))
        self._rest = buffered[end:]
        if len(self._rest) > _LONGEST_EVENT:
            raise EventTooLong
        return buffered[:end]

    def finish(self) -> bytes:
        """The last event, if the model server ended without the blank line after it."""
        rest, self._rest = self._rest.strip(), b""
        return rest + b"\n\n" if rest else b""


def _after(text: bytes, mark: bytes) -> int:
    position = text.rfind(mark)
    return 0 if position < 0 else position + len(mark)


def comment(text: str) -> bytes:
    """A comment: clients ignore it, and proxies keep the connection open."""
    return f": {text}\n\n".encode()


def has_data(events: bytes) -> bool:
    """Whether there are events, not only comments."""
    return events.startswith(b"data:") or b"\ndata:" in events


def payloads(events: bytes) -> list[dict[str, Any]]:
    """The JSON objects in the events; other data is skipped."""
    found = []
    for line in events.splitlines():
        if not line.startswith((b"data: {", b"data:{")):
            continue
        try:
            value = json.loads(line[len(b"data:") :])
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
