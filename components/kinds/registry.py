"""The kinds of services: each module of this package may define one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

import components.kinds
from components.kinds.service import Service


@cache
def kinds() -> Mapping[str, type[Service]]:
    """Every kind by its name in services.yaml."""
    found = {str(kind.model_fields["kind"].default): kind for kind in _defined()}
    return MappingProxyType(dict(sorted(found.items())))


def _defined() -> Iterator[type[Service]]:
    for entry in pkgutil.iter_modules(components.kinds.__path__):
        module = importlib.import_module(f"{components.kinds.__name__}.{entry.name}")
        for value in vars(module).values():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and issubclass(value, Service) and not inspect.isabstract(value):
                yield value
