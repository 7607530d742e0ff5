"""The fields of a form, which are texts, as values of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LIST = "[]"
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TYPES: Mapping[str, type[int] | type[float]] = {"max_tokens": int, "temperature": float}


def typed_fields(texts: Mapping[str, list[str]]) -> dict[str, Any]:
    """The fields as JSON would have them; a text that cannot be converted stays one."""
    fields: dict[str, Any] = {}
    for name, values in texts.items():
        if name.endswith(_LIST):
            fields[name.removesuffix(_LIST)] = values
        else:
            fields[name] = _typed(name, values[0])
    return fields


def _typed(name: str, value: str) -> Any:
    if name == "stream":
        return _BOOLEANS.get(value.strip().lower(), value)
    try:
        return _TYPES[name](value) if name in _TYPES else value
    except ValueError:
        return value


def form_fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts of a form with these fields."""
    for name, value in fields.items():
        if isinstance(value, list):
            yield from ((name + _LIST, str(item)) for item in value)
        elif isinstance(value, bool):
            yield name, "true" if value else "false"
        elif isinstance(value, float):
            # llama-server refuses the smallest numbers.
            yield name, f"{value:.4f}"
        else:
            yield name, str(value)
