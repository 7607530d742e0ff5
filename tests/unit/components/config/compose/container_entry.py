"""Reads one entry of kind `container`, for tests of its keys."""

from __future__ import annotations

from typing import Any

from components.config.problems import Source
from components.config.schema import read
from components.kinds.container import ContainerService

START = "services.yaml: services.app."


def service(**keys: Any) -> ContainerService:
    """The service that an entry with these keys makes; it must not have a problem."""
    found = read(ContainerService, _entry(keys), Source("services.yaml"), at=("services", "app"))
    assert found.problems == (), "\n".join(map(str, found.problems))
    assert found.value is not None
    return found.value


def problem(**keys: Any) -> str:
    """The one problem of an entry with these keys, from the key on."""
    found = read(ContainerService, _entry(keys), Source("services.yaml"), at=("services", "app"))
    (text,) = map(str, found.problems)
    assert text.startswith(START)
    return text.removeprefix(START)


def _entry(keys: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "container", "image": "docker.io/library/redis:7", **keys}
