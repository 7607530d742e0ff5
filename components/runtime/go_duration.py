"""Durations as Docker's engine and the provider return them: another form would be a change."""

from __future__ import annotations


def go_duration(seconds: int) -> str:
    """As a Swarm's service returns it, without zero units: `1m` for 60 seconds."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def long_go_duration(seconds: int) -> str:
    """As the health check of a container returns it, and as Go prints it: `1m0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(hours, "h")] if hours else []
    parts += [(minutes, "m")] if minutes or hours else []
    return "".join(f"{number}{unit}" for number, unit in (*parts, (rest, "s")))
