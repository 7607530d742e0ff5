"""How an API streams a response: its closing event, its errors, its keep-alive bytes.

Everything is found by scanning bytes. That is safe, because JSON escapes quotes and line breaks: no
generated text can contain a line break, or the name of a field with its quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def named(event: str) -> tuple[bytes, ...]:
    """The lines with which servers begin an event of this name."""
    name = event.encode()
    return tuple(b"event:" + space + name + end for space in (b" ", b"") for end in (b"\n", b"\r"))


# An event with JSON in one line, as one chunk of HTTP.
_EVENT_START = b"data: {"
_END = b"\n\n\r\n"
_LINES = 4
# Begins no chunk: some sizes are impossible.
_NO_CHUNK = b"\0"
_STARTS_SIZE = 1024


def _start(size: int) -> bytes:
    """The beginning of a chunk that has this size with its own length and its end."""
    for digits in range(1, 9):
        data = size - digits - len(b"\r\n\r\n")
        if data > 0 and len(b"%x" % data) == digits:
            return b"%x\r\n%b" % (data, _EVENT_START)
    return _NO_CHUNK


# Those of most tokens: making one needs as much time as the other checks together.
_STARTS = tuple(_start(size) for size in range(_STARTS_SIZE))


@dataclass(frozen=True)
class StreamForm:
    """How one API streams.

    :param ends: each is in the closing event, and nowhere else.
    :param errors: each is the beginning of an event that reports an error.
    :param token: appears once in each event with a token.
    :param one_line: whether each event is a line with JSON, except the closing one.
    :param options: fields with which a request asks for the usage.
    :param keep_alive: an event that clients ignore.
    """

    ends: tuple[bytes, ...]
    errors: tuple[bytes, ...]
    token: bytes
    one_line: bool = False
    keep_alive: bytes = b": keep-alive\n\n"
    options: Mapping[str, Any] = field(default_factory=dict)

    def is_one_event(self, chunk: bytes) -> bool:
        """Whether a read is one chunk of HTTP with one event, neither the closing one nor an error.

        False if that cannot be seen at once. Nearly all reads of OpenAI's streams are such chunks,
        and need neither a parser nor the search for all marks.
        """
        if not self.one_line:
            return False
        size = len(chunk)
        start = _STARTS[size] if size < _STARTS_SIZE else _start(size)
        return (
            chunk.startswith(start)
            and chunk.endswith(_END)
            and chunk.count(b"\n") == _LINES
            and not chunk.startswith(self.errors, len(start) - len(_EVENT_START))
        )

    def is_done(self, events: bytes) -> bool:
        """Whether the closing event is among the events."""
        for end in self.ends:  # noqa: SIM110 - a generator needs twice the time
            if end in events:
                return True
        return False

    def find_error(self, events: bytes) -> int:
        """Start of the event in which the model server reports an error; -1 without one."""
        first = -1
        for mark in self.errors:
            at = events.find(mark)
            if at >= 0 and (first < 0 or at < first):
                first = at
        return first


_ERROR_DATA = b'data: {"error":'
OPENAI_STREAM = StreamForm(
    ends=(b"data: [DONE]\n", b"data: [DONE]\r", b"data:[DONE]\n"),
    errors=(_ERROR_DATA,),
    token=b"data:",
    one_line=True,
    options={"stream_options": {"include_usage": True}},
)
RESPONSES_STREAM = StreamForm(
    ends=(
        *named("response.completed"),
        *named("response.incomplete"),
        *named("response.failed"),
    ),
    errors=(_ERROR_DATA, *named("error")),
    token=b".delta\n",
)
MESSAGES_STREAM = StreamForm(
    ends=named("message_stop"),
    errors=named("error"),
    token=b"event: content_block_delta",
    keep_alive=b'event: ping\ndata: {"type": "ping"}\n\n',
)
INFILL_STREAM = StreamForm(
    ends=(b'"stop":true', b'"stop": true'),
    errors=(_ERROR_DATA,),
    token=b"data:",
)
