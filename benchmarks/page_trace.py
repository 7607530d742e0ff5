"""What the main thread of a page did, from Chromium's trace."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

CATEGORIES = [
    "toplevel",
    "devtools.timeline",
    "disabled-by-default-devtools.timeline",
    "__metadata",
]
_TASKS = ("ThreadControllerImpl::RunTask", "RunTask")


@dataclass(frozen=True)
class MainThread:
    """Times of the page's main thread, in milliseconds."""

    cpu_ms: float
    """Of all tasks, without the time in which another process had the core."""
    wall_ms: float
    longest_ms: float
    """The processor time of the longest task."""
    parts: dict[str, float]
    """CPU time by the kind of work; nested kinds are counted in each."""


def main_thread(trace: bytes) -> MainThread:
    """Read the busiest main thread of the trace."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"].get("name") == "CrRendererMain"
    }
    threads: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and (key := (event["pid"], event["tid"])) in mains:
            threads[key].append(event)
    busiest = max(threads.values(), key=lambda found: sum(map(_cpu, _tasks(found))), default=[])
    tasks = _tasks(busiest)
    parts: dict[str, float] = defaultdict(float)
    for event in busiest:
        if event["name"] not in _TASKS:
            parts[event["name"]] += _cpu(event)
    return MainThread(
        cpu_ms=sum(map(_cpu, tasks)),
        wall_ms=sum(event.get("dur", 0) for event in tasks) / 1000,
        longest_ms=max(map(_cpu, tasks), default=0.0),
        parts=dict(parts),
    )


def _tasks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outermost tasks: the same task has an event in two categories."""
    tasks = sorted(
        (event for event in events if event["name"] in _TASKS), key=lambda event: int(event["ts"])
    )
    outer: list[dict[str, Any]] = []
    end = 0
    for task in tasks:
        if task["ts"] >= end:
            outer.append(task)
            end = task["ts"] + task.get("dur", 0)
    return outer


def _cpu(event: dict[str, Any]) -> float:
    return float(event.get("tdur", event.get("dur", 0))) / 1000
