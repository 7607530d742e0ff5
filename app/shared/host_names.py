"""Decides whether a Host header names this server, against DNS rebinding.

A page of any site can have its own host name resolve to an address of this machine or network, and
then counts as the same origin as the server at that address. Only the Host header shows it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

# Clients send few different headers.
_MOST_KEPT = 64
ANY = "*"
# Names that no public DNS server can resolve. A name without a dot is one of the stack's network
# or of the local one.
_PRIVATE_SUFFIXES = (".localhost", ".internal")
_HOST = re.compile(r"(\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]+(\.[a-z0-9_-]+)*)\.?)(:\d{1,5})?")


def host_name(header: str) -> str | None:
    """The host of a Host header, without port, in lower case; None if it is not valid."""
    found = _HOST.fullmatch(header.strip().lower())
    return (found["v6"] or found["name"]) if found else None


class HostNames:
    """The host names of a server.

    IP addresses always belong to it, because no DNS server decides about them; so do names that
    exist only on a private network.

    :param names: other names. `*.example.com` is every name below example.com, `*` every name. A
        port is ignored.
    """

    def __init__(self, names: Iterable[str]) -> None:
        hosts = [name.lower().partition(":")[0] for name in names]
        self._any = ANY in hosts
        self._exact = frozenset(host for host in hosts if not host.startswith("*"))
        self._suffixes = tuple(host[1:] for host in hosts if host.startswith("*."))
        self._is_own = lru_cache(maxsize=_MOST_KEPT)(self._find_own)

    def allow(self, header: str) -> bool:
        """Whether a Host header is of this server. Browsers send one with every request."""
        return self._any or not header or self._is_own(header)

    def _find_own(self, header: str) -> bool:
        host = host_name(header)
        if host is None:
            return False
        return (
            host in self._exact
            or "." not in host
            or host.endswith((*_PRIVATE_SUFFIXES, *self._suffixes))
            or _is_address(host)
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
