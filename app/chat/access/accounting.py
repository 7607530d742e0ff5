"""Counts each request when it has ended: metrics, token limits and usage."""

from __future__ import annotations

from collections.abc import Callable

from app.chat.access.caller import TokenHold
from app.chat.request_record import RequestRecord
from app.chat.server.metrics import Metrics
from app.chat.usage.recorder import UsageRecorder
from app.chat.usage.store import Usage


class Accounting:
    """:param metrics: exist only while the application runs."""

    def __init__(self, metrics: Callable[[], Metrics], usage: UsageRecorder) -> None:
        self._metrics = metrics
        self._usage = usage

    def ended(self, record: RequestRecord, hold: TokenHold | None) -> None:
        if record.outcome is None:
            # No request to a model, for example one for an unknown path.
            return
        self._metrics().finished(record)
        if hold is None:
            return
        prompt, completion = used_tokens(record, hold)
        hold.settle(prompt + completion)
        if record.model is not None and record.replica is not None:
            usage = Usage(1, prompt, completion, record.age)
            self._usage.add(record.key, record.model, usage)


def used_tokens(record: RequestRecord, hold: TokenHold) -> tuple[int, int]:
    """The tokens of the prompt and the completion.

    A prompt without a reported number counts as estimated: a client that disconnects early has
    used it too.
    """
    if record.replica is None:
        return 0, 0
    worked = record.first_token_seconds is not None or record.outcome in ("complete", "client_gone")
    estimate = hold.prompt if worked else 0
    prompt = record.prompt_tokens if record.prompt_tokens is not None else estimate
    return prompt, record.completion_tokens or 0
