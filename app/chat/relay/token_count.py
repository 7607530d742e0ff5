"""Counts the tokens of a response without decoding its stream."""

from __future__ import annotations

import time
from collections import deque

from app.chat.apis.api import Api
from app.chat.apis.usage import TokenUsage
from app.chat.openai import sse
from app.chat.request_record import RequestRecord

# Of the pieces in which a stream ends: its last token, its statistics, the closing event.
_MOST_WITH_STATISTICS = 4
# They are kept until the next ones arrive.
_MOST_STATISTICS_BYTES = 64 * 1024


class TokenCount:
    """Counts events, and decodes the statistics of the model server at the end.

    llama-server ends every response with `timings`; others send `usage` if requested. Without
    either, each event with a token counts as one, which is nearly always right.
    """

    def __init__(self, api: Api) -> None:
        self._fields = api.usage
        self._token = api.stream.token if api.stream is not None else b""
        self._events = 0
        # The first events may have the statistics of the prompt, the last ones have the others.
        self._first_events = b""
        self._last_events: deque[bytes] = deque(maxlen=_MOST_WITH_STATISTICS)
        self._first: float | None = None
        self._document: TokenUsage | None = None

    def begin(self, events: bytes) -> None:
        """Take the first events."""
        self._first = time.monotonic()
        self._first_events = events[:_MOST_STATISTICS_BYTES]
        self.add(events)

    def add(self, events: bytes) -> None:
        """Take more events."""
        self._events += events.count(self._token)
        self._last_events.append(events[-_MOST_STATISTICS_BYTES:])

    def add_one(self, event: bytes) -> None:
        """Take an event with one token."""
        self._events += 1
        self._last_events.append(event)

    def read_document(self, document: bytes) -> None:
        """Read the numbers of a response that the model server did not stream."""
        self._document = self._fields.of_document(document)

    def write_to(self, record: RequestRecord) -> None:
        """Write the numbers to the record; called when the response has ended, complete or not."""
        if self._document is not None:
            record.prompt_tokens = self._document.prompt
            record.completion_tokens = self._document.completion
            record.tokens_per_second = self._document.per_second
        elif self._first is not None:
            self._write_streamed(record, time.monotonic() - self._first)

    def _write_streamed(self, record: RequestRecord, seconds: float) -> None:
        pieces = (self._first_events, *self._last_events)
        statistics = [one for one in pieces if b'"usage"' in one or b'"timings"' in one]
        usage = self._fields.read(sse.payloads(b"".join(statistics)))
        completion = usage.completion
        if completion is None or (completion == 0 and self._fields.starts_with_zero):
            completion = self._events
        record.prompt_tokens = usage.prompt
        record.completion_tokens = completion
        rate = usage.per_second
        if rate is None and seconds > 0 and completion > 1:
            rate = (completion - 1) / seconds
        record.tokens_per_second = rate
