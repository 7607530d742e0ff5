"""Data about one request, for the log and the metrics."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from app.chat.fleet.fair_queue import EVERYONE, Share

_STATE_KEY = "record"


@dataclass
class RequestRecord:
    """Times in seconds, None for what did not happen. Holds no prompt, no response, no key."""

    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    arrived: float = field(default_factory=time.monotonic)
    key: str = "anonymous"
    # In metrics and in the log, where the names of people do not belong.
    key_label: str = "anonymous"
    logged_key: str = "anonymous"
    share: Share = EVERYONE
    # The number of slots that it occupies: one for each completion that it asks for.
    cost: float = 1.0
    rate_limits: Callable[[], Mapping[str, str]] = dict
    model: str | None = None
    replica: str | None = None
    streamed: bool | None = None
    attempts: int = 0
    queue_seconds: float | None = None
    first_token_seconds: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_per_second: float | None = None
    # `complete`, `client_gone`, or the code of the error that the client got.
    outcome: str | None = None
    # Of the response; 0 until it starts.
    status: int = 0

    @property
    def age(self) -> float:
        return time.monotonic() - self.arrived

    def log_fields(self) -> dict[str, Any]:
        """The fields of the log line."""
        times = {
            "queue_ms": self.queue_seconds,
            "first_token_ms": self.first_token_seconds,
        }
        fields: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "request_id",
                "model",
                "replica",
                "streamed",
                "prompt_tokens",
                "completion_tokens",
                "outcome",
            )
        }
        fields["key"] = self.logged_key
        fields |= {name: round(value * 1000, 1) for name, value in times.items() if value}
        if self.attempts > 1:
            fields["attempts"] = self.attempts
        if self.tokens_per_second is not None:
            fields["tokens_per_second"] = round(self.tokens_per_second, 2)
        return {name: value for name, value in fields.items() if value is not None}


def attach_record(scope: Mapping[str, Any], record: RequestRecord) -> None:
    scope["state"][_STATE_KEY] = record


def record_in(scope: Mapping[str, Any]) -> RequestRecord:
    record = scope["state"][_STATE_KEY]
    assert isinstance(record, RequestRecord)
    return record


def record_of(request: Request) -> RequestRecord:
    return record_in(request.scope)
