"""The kinds of services: each module of this package may define one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import components.kinds
from components.kinds.service import Service


@cache
def kinds() -> Mapping[str, type[Service]]:
    """Every kind by its name in services.yaml."""
    for module in pkgutil.iter_modules(components.kinds.__path__):
        importlib.import_module(f"{components.kinds.__name__}.{module.name}")
    found = {str(kind.model_fields["kind"].default): kind for kind in Service.__subclasses__()}
    return MappingProxyType(dict(sorted(found.items())))
