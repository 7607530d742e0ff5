"""What a service waits for before it starts: `depends_on`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from components.config.compose.words import names
from components.config.field_types import Name
from components.config.schema import StrictModel


class Condition(StrEnum):
    """When a dependency counts as there."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


class Dependency(StrictModel):
    """One entry of the map form."""

    condition: Condition = Condition.STARTED


def _dependencies(value: Any) -> Any:
    return {name: {} for name in names(value)} if isinstance(value, list | tuple) else value


Dependencies = Annotated[
    dict[Name, Dependency],
    BeforeValidator(_dependencies),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}},
                {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"condition": {"enum": [one.value for one in Condition]}},
                    },
                },
            ]
        }
    ),
]
