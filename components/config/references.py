"""Values of a stack in the catalogue: `${config:NAME}` in any of its texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.config.problems import Key, Problem, Source, choices

_REFERENCE = re.compile(r"\$\{config:([^}:]*)(?::-([^}]*))?\}")


def resolved(value: Any, values: Mapping[str, str]) -> Any:
    """The value with the stack's values in its texts; unknown names stay."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _value(match, values), value)
    if isinstance(value, Mapping):
        return {key: resolved(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, values) for item in value]
    return value


def _value(match: re.Match[str], values: Mapping[str, str]) -> str:
    return values.get(match[1], match[0] if match[2] is None else match[2])


def reference_problems(
    value: Any, values: Mapping[str, str], key: Key, source: Source
) -> Iterator[Problem]:
    """Names that the stack has no value for."""
    if isinstance(value, str):
        for name, default in _REFERENCE.findall(value):
            if name not in values and not default and f"{name}:-" not in value:
                yield source.problem(
                    key,
                    f"has ${{config:{name}}}, which this stack does not set",
                    allowed=choices(name, values),
                    run=f"pulumi config set --path llm-stack:values.{name or '<name>'} <value>",
                )
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from reference_problems(item, values, (*key, str(name)), source)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from reference_problems(item, values, (*key, at), source)
