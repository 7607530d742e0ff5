"""Types of values that several settings have in common: names, ports, sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

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


@dataclass(frozen=True)
class Form:
    """The form of a text: a pattern for the check and for editors, plain words for the error."""

    pattern: str
    what: str
    """What the text is not, where the pattern does not match: `a valid name`."""
    allowed: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise refusal(f"is not {self.what}", allowed=self.allowed)
        return value


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
Name = Annotated[
    str,
    Form(
        r"[a-z][a-z0-9-]{0,38}[a-z0-9]",
        "a valid name",
        "2 to 40 of a-z, 0-9 and -, beginning with a letter, not ending in -",
    ),
]
ModelName = Annotated[
    str, Form(r"[a-z0-9][a-z0-9._-]{0,62}", "a valid name", "1 to 63 of a-z, 0-9 and . _ -")
]
Port = Annotated[int, Field(ge=1, le=65535)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
Scalar = str | int | float | bool | None
Sha256 = Annotated[str, Form(r"[0-9a-f]{64}", "a SHA-256 digest", "64 of 0-9 and a-f")]
# Without a name's port, the default one; `*.` is any name below, `*` any name.
HostPattern = Annotated[
    str,
    Form(
        r"(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:\d{1,5})?)",
        "a valid host name",
        "a host name such as llm.example.com, with a port if it is not the default, "
        "*.example.com, or *",
    ),
]
