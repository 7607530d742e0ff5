"""Decides which pages may call the gateway, by the Origin header of their requests."""

from __future__ import annotations

import re
from collections.abc import Collection

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^:/?#@\[\]]+)(:(?P<port>\d{1,5}))?"
)


class Origins:
    """The gateway's own pages, and those of the origins that may call it.

    :param allowed: origins. `*` is every one; as the host or as its first label it is any,
        as the port too.
    :param own_hosts: public host names of the gateway, for a proxy that changes the Host header.
        A name without a port has the default one; one with a wildcard is ignored.
    """

    def __init__(self, allowed: Collection[str], own_hosts: Collection[str]) -> None:
        self.pattern = "|".join(_pattern(origin) for origin in allowed) or None
        self._allowed = re.compile(self.pattern or r"(?!)")
        self._own = frozenset(host.lower() for host in own_hosts if "*" not in host)

    def is_own(self, origin: str, host: str) -> bool:
        """Whether an Origin header is of the gateway's own page.

        :param host: the Host header of the same request.
        """
        parts = _ORIGIN.fullmatch(origin.lower())
        if parts is None or parts["scheme"] not in _DEFAULT_PORTS:
            return False
        port = parts["port"]
        if port in (None, _DEFAULT_PORTS[parts["scheme"]]):
            name = parts["host"]
        else:
            name = f"{parts['host']}:{port}"
        return name == _without_default_port(host.lower()) or name in self._own

    def allow(self, origin: str) -> bool:
        """Whether pages of another origin may call the gateway."""
        return bool(self._allowed.fullmatch(origin))


def _without_default_port(host: str) -> str:
    for port in _DEFAULT_PORTS.values():
        host = host.removesuffix(f":{port}")
    return host.removesuffix(".")


def _pattern(origin: str) -> str:
    """A regular expression for an origin of the settings; browsers write origins in lower case."""
    if origin == "*":
        return r".*"
    pattern = re.escape(origin.lower())
    any_port, any_name = re.escape(":*"), re.escape("*")
    if pattern.endswith(any_port):
        pattern = pattern.removesuffix(any_port) + r":\d{1,5}"
    return pattern.replace(any_name, "[^/:]+")
