"""The reference of a published image: `image`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from components.config.schema import refusal

# The grammar of references: github.com/distribution/reference, `regexp.go`.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"(?P<name>(?:(?:localhost|[a-zA-Z0-9.-]+\.[a-zA-Z0-9.-]+|[a-zA-Z0-9.-]+:\d{1,5})"
    rf"(?::\d{{1,5}})?/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


def repository_of(reference: str) -> str:
    """The name without tag and digest."""
    match = _REFERENCE.fullmatch(reference)
    assert match is not None, "the reference was checked"
    return match["name"]


def digest_of(reference: str) -> str | None:
    """The digest that a reference is pinned to."""
    return reference.partition("@")[2] or None


def _reference(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        raise refusal(
            "is not a valid image reference",
            allowed="name:tag, best name:tag@sha256:…, such as docker.io/library/postgres:17",
        )
    return value


ImageReference = Annotated[str, AfterValidator(_reference), WithJsonSchema({"type": "string"})]
