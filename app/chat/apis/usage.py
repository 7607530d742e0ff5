"""Where the responses of an API have their numbers of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# More is an error of the server.
_MOST = 10**9
# A larger document is not parsed for a few numbers: its first `usage` is read alone.
_LARGEST_PARSED_BYTES = 2**20
_USAGE = b'"usage"'


@dataclass(frozen=True)
class TokenUsage:
    """The numbers of tokens of one response; None for what the server did not report."""

    prompt: int | None = None
    completion: int | None = None
    per_second: float | None = None


@dataclass(frozen=True)
class UsageFields:
    """The names of the fields in `usage`.

    :param prompt: numbers that are added.
    :param completion: the number of generated tokens.
    :param inside: objects of an event that may hold `usage`; it may always be at the top.
    :param starts_with_zero: whether the first event of a stream has a number of generated tokens.
    """

    prompt: tuple[str, ...]
    completion: str
    inside: tuple[str, ...] = ()
    starts_with_zero: bool = False

    def read(self, payloads: list[dict[str, Any]]) -> TokenUsage:
        """The usage in these events or documents; later fields replace earlier ones."""
        usage: dict[str, Any] = {}
        timings: dict[str, Any] = {}
        for payload in payloads:
            for holder in (payload, *(payload.get(name) for name in self.inside)):
                if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
                    usage |= holder["usage"]
            if isinstance(payload.get("timings"), dict):
                timings = payload["timings"]
        return TokenUsage(
            prompt=_sum(usage, self.prompt, _sum(timings, ("prompt_n", "cache_n"))),
            completion=_count(usage, self.completion, _count(timings, "predicted_n")),
            per_second=_rate(timings),
        )

    def of_document(self, document: bytes) -> TokenUsage:
        """The usage in a response that was not streamed."""
        try:
            if len(document) <= _LARGEST_PARSED_BYTES:
                parsed = json.loads(document)
            elif (at := document.find(_USAGE)) >= 0:
                text = document[at + len(_USAGE) : at + _LARGEST_PARSED_BYTES]
                start = text.index(b"{")
                found, _ = json.JSONDecoder().raw_decode(text[start:].decode(errors="replace"))
                parsed = {"usage": found}
            else:
                parsed = None
        except (ValueError, RecursionError):
            parsed = None
        return self.read([parsed] if isinstance(parsed, dict) else [])


OPENAI_USAGE = UsageFields(("prompt_tokens",), "completion_tokens")
RESPONSES_USAGE = UsageFields(("input_tokens",), "output_tokens", inside=("response",))
# Anthropic counts cached tokens apart.
MESSAGES_USAGE = UsageFields(
    ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
    "output_tokens",
    inside=("message",),
    starts_with_zero=True,
)


def _sum(
    statistics: Mapping[str, Any], names: tuple[str, ...], otherwise: int | None = None
) -> int | None:
    """The sum of the numbers; `otherwise` without the first one."""
    first = _count(statistics, names[0])
    if first is None:
        return otherwise
    return first + sum(_count(statistics, name) or 0 for name in names[1:])


def _count(statistics: Mapping[str, Any], name: str, otherwise: int | None = None) -> int | None:
    """A number of tokens, if the server reported a possible one."""
    value = statistics.get(name)
    return value if type(value) is int and 0 <= value < _MOST else otherwise


def _rate(timings: Mapping[str, Any]) -> float | None:
    rate = timings.get("predicted_per_second")
    return float(rate) if isinstance(rate, int | float) and 0 <= rate < _MOST else None
