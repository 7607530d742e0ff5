"""Counts the tokens of a streamed response without decoding the stream."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from app.chat.openai import sse
from app.chat.request_record import RequestRecord

# More is an error of the server.
_MOST = 10**9


class TokenCount:
    """Counts events, and decodes the statistics of the model server at the end.

    llama-server ends every response with `timings`; others send `usage` if requested. Without
    either, each event counts as one token, which is nearly always right.
    """

    def __init__(self) -> None:
        self._events = 0
        self._statistics = b""
        self._first: float | None = None

    def add(self, events: bytes) -> None:
        self._events += events.count(b"data:")
        if self._first is None:
            self._first = time.monotonic()
        if b'"usage"' in events or b'"timings"' in events:
            self._statistics = events

    def write_to(self, record: RequestRecord) -> None:
        """Write the numbers to the record; called when the response has ended, complete or not."""
        if self._first is None:
            return
        usage, timings = self._read_statistics()
        completion = _count(usage, "completion_tokens", _count(timings, "predicted_n"))
        prompt = _count(usage, "prompt_tokens")
        if prompt is None and (read := _count(timings, "prompt_n")) is not None:
            prompt = read + (_count(timings, "cache_n") or 0)
        record.prompt_tokens = prompt
        record.completion_tokens = completion if completion is not None else self._events
        seconds = time.monotonic() - self._first
        rate = timings.get("predicted_per_second")
        if not isinstance(rate, int | float) or not 0 <= rate < _MOST:
            rate = None
        if rate is None and seconds > 0 and record.completion_tokens > 1:
            rate = (record.completion_tokens - 1) / seconds
        record.tokens_per_second = rate

    def _read_statistics(self) -> tuple[dict[str, Any], dict[str, Any]]:
        usage: dict[str, Any] = {}
        timings: dict[str, Any] = {}
        for payload in sse.payloads(self._statistics):
            if isinstance(payload.get("usage"), dict):
                usage = payload["usage"]
            if isinstance(payload.get("timings"), dict):
                timings = payload["timings"]
        return usage, timings


def _count(statistics: Mapping[str, Any], name: str, otherwise: int | None = None) -> int | None:
    """A number of tokens, if the server reported a possible one."""
    value = statistics.get(name)
    return value if isinstance(value, int) and 0 <= value < _MOST else otherwise
