"""Sizes and durations as the Compose Specification writes them: `64m`, `1m30s`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from components.config.schema import refusal

# Binary units, with or without an `i` in them (Compose Specification, "Specifying byte
# values").
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?) ?([kmg]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")


def parse_size(value: object) -> int:
    """Bytes; raises what pydantic reports for anything else than a size."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    match = _SIZE.fullmatch(text)
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    # The kernel takes 0 for no limit.
    if not size:
        raise refusal("is not a valid size", allowed="a number with k, m or g, such as 64m")
    return size


def parse_seconds(value: object) -> int:
    """Whole seconds; raises what pydantic reports for anything else than a duration."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        raise refusal("is not a valid duration", allowed="whole seconds or more, such as 1m30s")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}),
]
"""Bytes."""
DurationSeconds = Annotated[
    int,
    BeforeValidator(parse_seconds),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}),
]
