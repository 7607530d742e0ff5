"""The states of a service, and the verdict of a single check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """State of a service. Only `stalled` and `down` are failures."""

    OK = "ok"
    BUSY = "busy"
    LOADING = "loading"
    STARTING = "starting"
    DRAINING = "draining"
    DEGRADED = "degraded"
    STALLED = "stalled"
    DOWN = "down"
    UNKNOWN = "unknown"


SERVING = frozenset({State.OK, State.BUSY, State.DEGRADED})
"""States in which the service responds to requests."""

FAILED = frozenset({State.STALLED, State.DOWN})
"""States that lead to an alert, and to a restart if one can help."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of one check.

    `code` is one of a small fixed set, for the label of a metric; `reason` is for people.
    `unreachable`: there was no response at all, so the network may be the cause.
    `excusable`: the service responded that it cannot serve, which a failed dependency explains.
    """

    state: State
    code: str
    reason: str
    latency: float | None = None
    unreachable: bool = False
    excusable: bool = False
