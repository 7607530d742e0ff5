"""The priority that a client chooses for one of its requests: the usual one, or a lower one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from app.chat.fleet.fair_queue import Share
from app.chat.openai.errors import ApiError

HEADER = "x-priority"
_NORMAL, _LOW = "normal", "low"


def lowered(share: Share, headers: Mapping[str, str]) -> Share:
    """The share of a request with these headers; raises ApiError 400 for another priority."""
    priority = headers.get(HEADER, _NORMAL)
    if priority == _NORMAL:
        return share
    if priority == _LOW:
        return replace(share, background=True)
    raise ApiError(
        400,
        f"'{HEADER}': is not a valid priority; allowed: {_LOW}, {_NORMAL}",
        code="invalid_request",
        param=HEADER,
    )
