"""`GET /v1/usage`: what the caller's own key used, by day and model."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.chat.api.routes import TheCaller, TheGateway
from app.chat.openai.errors import ApiError
from app.chat.usage.store import Usage

_DEFAULT_DAYS = 30
_EARLIEST = date(2000, 1, 1)

usage_router = APIRouter()


@usage_router.get("/v1/usage")
async def usage(
    gateway: TheGateway,
    caller: TheCaller,
    first: Annotated[date | None, Query(alias="from", ge=_EARLIEST)] = None,
    last: Annotated[date | None, Query(alias="to", ge=_EARLIEST)] = None,
) -> dict[str, Any]:
    """The days from `from` to `to`, those included; without them, the last 30 days in UTC."""
    last = last or datetime.now(UTC).date()
    first = first or last - timedelta(days=_DEFAULT_DAYS - 1)
    if first > last:
        raise ApiError(400, "'from' is after 'to'", code="invalid_request", param="from")
    try:
        found = await gateway.usage.read(first.isoformat(), last.isoformat(), caller.name)
    except sqlite3.Error:
        message = "the usage cannot be read; the log of the gateway has the reason"
        raise ApiError(503, message, code="usage_unavailable", retry_after=10) from None
    total = sum(found.values(), Usage())
    return {
        "object": "usage",
        "key": caller.name,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "total": _numbers(total),
        "data": [
            {"day": bucket.day, "model": bucket.model, **_numbers(one)}
            for bucket, one in sorted(found.items())
        ],
    }


def _numbers(usage: Usage) -> dict[str, Any]:
    return {
        "requests": usage.requests,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "seconds": round(usage.seconds, 3),
    }
