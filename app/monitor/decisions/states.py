"""The words in which the health of a service is told, and what a single check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a service is. Only `stalled` and `down` are failures."""

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
"""States in which requests are answered."""

FAILED = frozenset({State.STALLED, State.DOWN})
"""States that lead to an alert, and to a restart where one may help."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check found.

    `code` is one of a small fixed set, fit for a metric's label; `reason` is for people.
    `unreachable`: nothing came back at all, so the network may be at fault.
    `excusable`: the service answered that it cannot serve, which a failed dependency explains.
    """

    state: State
    code: str
    reason: str
    latency: float | None = None
    unreachable: bool = False
    excusable: bool = False
