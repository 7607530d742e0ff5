"""Words of a command, and maps that may be lists: `command`, `environment`, `labels`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from components.config.schema import refusal

HOST_GATEWAY = "host-gateway"
_TEXT_OR_LIST = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_MAP_OR_LIST = {
    "anyOf": [
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        {"type": "array", "items": {"type": "string"}},
    ]
}


def scalar_text(value: object) -> str:
    """A scalar of YAML as the text that Docker takes; raises what pydantic reports for others."""
    if value is None:
        raise refusal("has no value", allowed='a value, or "" for an empty one')
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise refusal("is not text", allowed="text, in quotes")


def names(value: list[Any] | tuple[Any, ...]) -> list[str]:
    """A list of names; raises what pydantic reports for a list with anything else in it."""
    if not all(isinstance(name, str) for name in value):
        raise refusal("has an entry that is not a name", allowed="a list of names, or a map")
    return list(value)


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise refusal(
                f"cannot be split into words: {error}",
                allowed="balanced quotes, or a list of words",
            ) from None
    if isinstance(value, list | tuple):
        return tuple(scalar_text(word) for word in value)
    raise refusal("is not a command", allowed="text, or a list of words")


def _pairs(separators: str, example: str) -> Callable[[Any], Any]:
    """Makes a map of a list of texts with a name and a value."""

    def read(value: Any) -> Any:
        if isinstance(value, Mapping):
            return value
        # Hidden: a list is shown as a whole, with the secrets beside the entry that is wrong.
        if not isinstance(value, list | tuple):
            allowed = f"a map, or a list such as [{example}]"
            raise refusal("is not a map", allowed=allowed, hide=True)
        found: dict[str, str] = {}
        for at, entry in enumerate(value):
            name, separator, text = _split(entry if isinstance(entry, str) else "", separators)
            if not (name and separator):
                place = name if name.replace("_", "").isalnum() else f"entry {at}"
                raise refusal(f"has {place} without a value", allowed=example, hide=True)
            if name in found:
                raise refusal(f"has {name} twice", allowed="each name once", hide=True)
            found[name] = text
        return found

    return read


def _split(text: str, separators: str) -> tuple[str, str, str]:
    """The text before the first of the separators, that separator, and the text after it."""
    match = re.search(f"[{re.escape(separators)}]", text)
    if match is None:
        return text, "", ""
    return text[: match.start()], match[0], text[match.end() :]


ScalarText = Annotated[
    str, BeforeValidator(scalar_text), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Words = Annotated[tuple[str, ...], BeforeValidator(_words), WithJsonSchema(_TEXT_OR_LIST)]
"""Text is split as a shell splits words, without expansions."""
Variables = Annotated[
    dict[str, ScalarText], BeforeValidator(_pairs("=", "NAME=value")), WithJsonSchema(_MAP_OR_LIST)
]


def _address(value: str) -> str:
    try:
        return value if value == HOST_GATEWAY else str(ip_address(value))
    except ValueError:
        allowed = f"an IP address, or {HOST_GATEWAY} for the engine's machine"
        raise refusal("is not an IP address", allowed=allowed) from None


Hosts = Annotated[
    dict[str, Annotated[ScalarText, AfterValidator(_address)]],
    BeforeValidator(_pairs(":=", "db.example.com:10.0.0.7")),
    WithJsonSchema(_MAP_OR_LIST),
]
"""By host name: an IP address, or `host-gateway` for the engine's machine."""
