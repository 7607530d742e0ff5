"""Compose's rules for a service that several files describe."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from toolchain.compose.forms import Mount, Port
from toolchain.compose.yaml_file import Override, Reset, Section

# The later value replaces the earlier one as a whole.
_REPLACED = {"command", "entrypoint", "test"}


def merged(base: Section, above: Section) -> Section:
    """A mapping of services' keys with those of a later file; the later one counts."""
    result = Section(above.place)
    for key, value in base.items():
        result.put(key, value, base.place_of(key))
    for key, value in above.items():
        if isinstance(value, Reset):
            result.pop(key, None)
        else:
            result.put(key, _value(key, result.get(key), value), above.place_of(key))
    return result


def settled(section: Section) -> Section:
    """The mapping without tags of merges: nothing comes after it."""
    return merged(Section(section.place), section)


def _value(key: str, base: Any, above: Any) -> Any:
    if isinstance(above, Override):
        return _untagged(above.value)
    if base is None or key in _REPLACED:
        return _untagged(above)
    if isinstance(base, Section) and isinstance(above, Section):
        return merged(base, above)
    if isinstance(base, dict) and isinstance(above, dict):
        return {**base, **above}
    if isinstance(base, list) and isinstance(above, list):
        return _joined(base, above, _IDENTITIES.get(key, repr))
    return _untagged(above)


def _untagged(value: Any) -> Any:
    if isinstance(value, Section):
        return merged(Section(value.place), value)
    if isinstance(value, Override):
        return _untagged(value.value)
    return value


def _joined(base: list[Any], above: list[Any], identity: Callable[[Any], Hashable]) -> list[Any]:
    """Both lists; an entry above replaces the one with the same identity."""
    found = {identity(one): one for one in base}
    return list({**found, **{identity(one): one for one in above}}.values())


def _port_identity(port: Port) -> Hashable:
    return (port.address, port.host, port.container, port.protocol)


def _mount_identity(mount: Mount) -> Hashable:
    return mount.target


_IDENTITIES: dict[str, Callable[[Any], Hashable]] = {
    "ports": _port_identity,
    "volumes": _mount_identity,
}
