"""Types of values that several settings have in common: names, ports, sizes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from components.config.schema import refusal

MEBIBYTE = 1024**2
GIBIBYTE = 1024 * MEBIBYTE
# Docker refuses a container limit below 6 MiB; no service of ours starts in less than this.
LEAST_MEMORY = 64 * MEBIBYTE
MOST_GPUS = 16
MOST_CPUS = 256

_DURATION = re.compile(r"[1-9][0-9]{0,3}[mh]")
_MEMORY = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?(MiB|GiB|[mgMG])")


def _parse_memory(value: object) -> int:
    allowed = "a number with MiB or GiB, at least 64MiB, such as memory: 4GiB"
    match = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refusal("is not a valid memory size", allowed=allowed)
    size = int(float(match[1]) * (GIBIBYTE if match[2] in {"GiB", "g", "G"} else MEBIBYTE))
    if size < LEAST_MEMORY:
        raise refusal("is too small", allowed=allowed)
    return size


def _parse_cpus(value: object) -> float:
    allowed = f"a number above 0, at most {MOST_CPUS}, such as cpus: 2"
    try:
        cpus = float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        cpus = 0.0
    if isinstance(value, bool) or not 0 < cpus <= MOST_CPUS:
        raise refusal("is not a valid number of processors", allowed=allowed)
    return cpus


def _parse_gpus(value: object) -> str:
    """Docker's own spelling: `all`, how many, or `"device=0,1"` with quotes in it."""
    if isinstance(value, list | tuple) and value and all(map(_is_gpu_id, value)):
        return f'"device={",".join(map(str, value))}"'
    if value == "all" or (type(value) is int and 1 <= value <= MOST_GPUS):
        return str(value)
    raise refusal(
        "is not a valid number of GPUs", allowed=f"all, 1 to {MOST_GPUS}, or a list of ids"
    )


def _is_gpu_id(value: object) -> bool:
    """An index, or an id such as GPU-3a23c669-…"""
    return bool(re.fullmatch(r"[A-Za-z0-9-]{1,64}", str(value)))


def _check_duration(value: str) -> str:
    """A time limit as Pulumi's option customTimeouts takes it."""
    if not _DURATION.fullmatch(value):
        raise refusal(
            "is not a valid time limit",
            allowed="a whole number with m or h, such as 90m or 24h",
        )
    return value


def _name(pattern: str, allowed: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise refusal("is not a valid name", allowed=allowed)
        return value

    return AfterValidator(check)


# For editors, a schema of what a person writes, which is not always what the program gets.
Gpus = Annotated[
    str,
    BeforeValidator(_parse_gpus),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "all"},
                {"type": "integer", "minimum": 1, "maximum": MOST_GPUS},
                {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1},
            ]
        }
    ),
]
Memory = Annotated[
    int,
    BeforeValidator(_parse_memory),
    WithJsonSchema({"type": "string", "pattern": f"^{_MEMORY.pattern}$"}),
]
"""Bytes."""
Cpus = Annotated[
    float,
    BeforeValidator(_parse_cpus),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MOST_CPUS}),
]
Duration = Annotated[
    str,
    AfterValidator(_check_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]
# A label of DNS, since the service is found under it; Docker refuses names of one letter.
_NAME = r"[a-z][a-z0-9-]{0,38}[a-z0-9]"
Name = Annotated[
    str,
    _name(_NAME, "2 to 40 of a-z, 0-9 and -, beginning with a letter, not ending in -"),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"}),
]
_MODEL_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
ModelName = Annotated[
    str,
    _name(_MODEL_NAME, "1 to 63 of a-z, 0-9 and . _ -"),
    WithJsonSchema({"type": "string", "pattern": f"^{_MODEL_NAME}$"}),
]
Port = Annotated[int, Field(ge=1, le=65535)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
Scalar = str | int | float | bool | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Without a name's port, the default one; `*.` is any name below, `*` any name.
HostPattern = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:\d{1,5})?)$"),
]
