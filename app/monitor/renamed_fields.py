"""Fields of state files under the names of earlier versions, so that an upgrade loses nothing."""

from __future__ import annotations

from pydantic import AliasChoices
from pydantic.fields import FieldInfo


def formerly(name: str, *earlier: str) -> FieldInfo:
    """Metadata of a field that is written as `name` and read under earlier names too."""
    return FieldInfo(validation_alias=AliasChoices(name, *earlier), serialization_alias=name)
