"""Estimates the tokens of a request before it runs, for the token limits of its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# English text in JSON has about four bytes per token.
_BYTES_PER_TOKEN = 4
# For a request without a limit of its own.
_USUAL_COMPLETION = 1024
_MOST = 10**7
_LIMIT_FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "n_predict")


def estimated_prompt(size: int) -> int:
    """The tokens of a text with this number of bytes."""
    return min(_MOST, max(0, size) // _BYTES_PER_TOKEN + 1)


def estimated_completion(body: Mapping[str, Any]) -> int:
    """The tokens that the model may generate."""
    limits = [value for name in _LIMIT_FIELDS if (value := _count(body.get(name))) is not None]
    each = min(limits) if limits else _USUAL_COMPLETION
    return min(_MOST, each * max(1, _count(body.get("n")) or 1))


def _count(value: object) -> int | None:
    """A number that a client sent, if it is possible."""
    return min(_MOST, value) if type(value) is int and value >= 0 else None
