"""Durations as Docker's engine returns them."""

from __future__ import annotations


def go_duration(seconds: int) -> str:
    """Without trailing zero units: `60s` would be a change at every refresh, as it returns `1m`."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
