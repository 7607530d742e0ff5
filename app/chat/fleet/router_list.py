"""Reads what llama-server reports about models that are not in memory.

Source: llama.cpp's tools/server (server-models.cpp, server-context.cpp), b11312. A router lists
each model with `status.value`; `/props` of a server with one model has `is_sleeping`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.chat.fleet.model_list import InvalidList
from app.chat.fleet.server import ASLEEP, WAKING, Health, State

_HEALTH = {
    "loaded": Health(State.READY),
    "loading": WAKING,
    "sleeping": ASLEEP,
    "unloaded": ASLEEP,
}


def read_router_list(content: bytes) -> Mapping[str, Health]:
    """The health of each model that a router lists; raises InvalidList."""
    try:
        entries = json.loads(content)["data"]
        return {entry["id"]: _health(entry["status"]) for entry in entries}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise InvalidList("its list of models does not have llama-server's form") from None


def _health(status: Mapping[str, Any]) -> Health:
    if status.get("failed"):
        # It is not down: the next request tries to load it again.
        code = status.get("exit_code")
        return Health(State.ASLEEP, f"not in memory; its last load failed (exit code {code})")
    return _HEALTH.get(str(status.get("value")), ASLEEP)


def is_sleeping(props: bytes) -> bool:
    """Whether the `/props` of a llama-server report that it sleeps."""
    try:
        found = json.loads(props)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("is_sleeping") is True
