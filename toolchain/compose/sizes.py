"""Sizes and durations of Compose, in the forms of the catalogue."""

from __future__ import annotations

import math
import re

MEBIBYTE = 1024**2
LEAST_MEBIBYTES = 64
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def size_in_bytes(text: str) -> int | None:
    """Bytes of `512m`, `1gb` or `67108864`; None for anything else."""
    match = _SIZE.fullmatch(text.strip())
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match else None


def memory(size: int) -> str:
    """A limit of memory: `512MiB` or `2GiB`."""
    mebibytes = max(LEAST_MEBIBYTES, math.ceil(size / MEBIBYTE))
    return f"{mebibytes // 1024}GiB" if mebibytes % 1024 == 0 else f"{mebibytes}MiB"


def short_size(size: int) -> str:
    """A size as `shm_size` and `tmpfs` have it: `512m` or `2g`."""
    mebibytes = max(1, math.ceil(size / MEBIBYTE))
    return f"{mebibytes // 1024}g" if mebibytes % 1024 == 0 else f"{mebibytes}m"


def tmpfs_size(text: str) -> str:
    size = size_in_bytes(text)
    return short_size(size) if size else "64m"


def seconds(text: str) -> float | None:
    """Seconds of `1m30s`; None for anything else."""
    if re.fullmatch(r"[0-9]+", text):
        return int(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
