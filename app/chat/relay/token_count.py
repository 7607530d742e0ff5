"""Finds out how many tokens a streamed answer had, without decoding the stream."""

from __future__ import annotations

import time
from typing import Any

from app.chat.middleware.request_record import RequestRecord
from app.chat.relay import sse


class TokenCount:
    """Watches the events go by, and reads the accounts of the model server when they are over.

    llama-server ends every answer with `timings`; others send `usage` when asked to. Without
    either, each event counts as one token, which is what it nearly always is.
    """

    def __init__(self) -> None:
        self._events = 0
        self._accounts = b""
        self._first: float | None = None

    def see(self, events: bytes) -> None:
        self._events += events.count(b"data:")
        if self._first is None:
            self._first = time.monotonic()
        if b'"usage"' in events or b'"timings"' in events:
            self._accounts = events

    def write_to(self, record: RequestRecord) -> None:
        """Put the numbers into the record; call it when the answer is over, whole or not."""
        if self._first is None:
            return
        usage, timings = self._read_accounts()
        completion = usage.get("completion_tokens", timings.get("predicted_n"))
        prompt = usage.get("prompt_tokens")
        if prompt is None and "prompt_n" in timings:
            prompt = timings["prompt_n"] + timings.get("cache_n", 0)
        record.prompt_tokens = prompt
        record.completion_tokens = completion if completion is not None else self._events
        seconds = time.monotonic() - self._first
        rate = timings.get("predicted_per_second")
        if rate is None and seconds > 0 and record.completion_tokens > 1:
            rate = (record.completion_tokens - 1) / seconds
        record.tokens_per_second = rate

    def _read_accounts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        usage: dict[str, Any] = {}
        timings: dict[str, Any] = {}
        for payload in sse.payloads(self._accounts):
            if isinstance(payload.get("usage"), dict):
                usage = payload["usage"]
            if isinstance(payload.get("timings"), dict):
                timings = payload["timings"]
        return usage, timings
