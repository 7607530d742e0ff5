"""Counts the tokens of a response without decoding its stream."""

from __future__ import annotations

import time

from app.chat.apis.api import Api
from app.chat.apis.usage import TokenUsage
from app.chat.openai import sse
from app.chat.request_record import RequestRecord


class TokenCount:
    """Counts events, and decodes the statistics of the model server at the end.

    llama-server ends every response with `timings`; others send `usage` if requested. Without
    either, each event with a token counts as one, which is nearly always right.
    """

    def __init__(self, api: Api) -> None:
        self._fields = api.usage
        self._token = api.stream.token if api.stream is not None else b""
        self._events = 0
        # The first events with statistics may have the prompt's, the last ones have the others.
        self._first_statistics = b""
        self._statistics = b""
        self._first: float | None = None
        self._document: TokenUsage | None = None

    def add(self, events: bytes) -> None:
        self._events += events.count(self._token)
        if self._first is None:
            self._first = time.monotonic()
        if b'"usage"' in events or b'"timings"' in events:
            self._first_statistics = self._first_statistics or events
            self._statistics = events

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
        statistics = self._first_statistics + self._statistics
        usage = self._fields.read(sse.payloads(statistics))
        completion = usage.completion
        if completion is None or (completion == 0 and self._fields.starts_with_zero):
            completion = self._events
        record.prompt_tokens = usage.prompt
        record.completion_tokens = completion
        rate = usage.per_second
        if rate is None and seconds > 0 and completion > 1:
            rate = (completion - 1) / seconds
        record.tokens_per_second = rate
