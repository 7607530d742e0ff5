"""The little of server-sent events that a relay needs: where events end, and what ended a stream.

Source of the format: the HTML standard, "Server-sent events". Events are told apart by scanning
bytes; nothing is decoded while an answer streams.
"""

from __future__ import annotations

import json
from typing import Any

_LONGEST_EVENT = 4 * 2**20
_ERROR = b'data: {"error":'
_DONE = (b"data: [DONE]\n\n", b"data: [DONE]\r\n\r\n", b"data:[DONE]\n\n")


class EventTooLong(Exception):
    """The upstream sent so much without ending an event that holding it back is no longer safe."""


class WholeEvents:
    """Lets whole events through and keeps the beginning of an unfinished one back.

    So a comment can be put between two events at any time, and a broken upstream never leaves half
    an event with the client.
    """

    def __init__(self) -> None:
        self._rest = b""

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
        """The last event, where the upstream ended without the blank line after it."""
        rest, self._rest = self._rest.strip(), b""
        return rest + b"\n\n" if rest in (b"data: [DONE]", b"data:[DONE]") else b""


def _after(text: bytes, mark: bytes) -> int:
    position = text.rfind(mark)
    return 0 if position < 0 else position + len(mark)


def comment(text: str) -> bytes:
    """A line that clients ignore, but that keeps connections and proxies awake."""
    return f": {text}\n\n".encode()


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def has_data(events: bytes) -> bool:
    """Whether there is anything but comments."""
    return events.startswith(b"data:") or b"\ndata:" in events


def find_error(events: bytes) -> int:
    """Where the event begins with which a model server reports its failure; -1 without one."""
    # Inside a JSON string the quotes would be escaped, so this cannot be part of an answer's text.
    return events.find(_ERROR)


def is_done(events: bytes) -> bool:
    """Whether OpenAI's closing event is the last one."""
    return events.endswith(_DONE)


def payloads(events: bytes) -> list[dict[str, Any]]:
    """The JSON objects of the events; what is no JSON object is left out."""
    found = []
    for line in events.splitlines():
        if not line.startswith(b"data:"):
            continue
        try:
            value = json.loads(line[len(b"data:") :])
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
