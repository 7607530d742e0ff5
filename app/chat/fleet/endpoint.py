"""One configured URL, and the servers at the IP addresses of its host."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from app.chat.fleet.server import Server

# Resolves to two addresses of one server.
_LOOPBACK = "localhost"

MakeServer = Callable[[str, str | None], Server]
"""Makes the server at a URL; the second argument is its Host header, if the URL lacks it."""


class Endpoint:
    """Servers at the IP addresses that were found last.

    While there are none, `unresolved` is the only server, so that a model always has a state.
    """

    def __init__(self, url: str, make_server: MakeServer, *, external: bool = False) -> None:
        self._url = urlsplit(url)
        self._make_server = make_server
        self._external = external
        self._servers: dict[str, Server] = {}
        self.unresolved = make_server(url, None)

    @property
    def host_to_resolve(self) -> str | None:
        """The host name to resolve; None for an IP address, localhost, HTTPS and external servers.

        HTTPS requests use the host name, because the certificate is issued for it; so do requests
        through a proxy, which resolves it.
        """
        host = self._url.hostname or ""
        unchanged = self._external or self._url.scheme != "http" or _is_literal(host)
        return None if unchanged else host

    @property
    def port(self) -> int:
        return self._url.port or 80

    @property
    def resolved(self) -> bool:
        """Whether there is at least one IP address."""
        return bool(self._servers)

    @property
    def ready(self) -> bool:
        """Whether at least one server passed its last health check."""
        return any(server.health.answers for server in self._servers.values())

    def update(self, addresses: Iterable[str]) -> tuple[list[Server], list[Server]]:
        """Set the current IP addresses; returns the removed and the added servers."""
        wanted = list(addresses)
        removed = [
            self._servers.pop(address) for address in [*self._servers] if address not in wanted
        ]
        added = []
        if wanted and not self._servers and not removed:
            removed = [self.unresolved]
        elif not wanted and removed:
            added = [self.unresolved]
        for address in wanted:
            if address not in self._servers:
                self._servers[address] = self._server_at(address)
                added.append(self._servers[address])
        return removed, added

    def _server_at(self, address: str) -> Server:
        at = f"[{address}]" if ":" in address else address
        port = f":{self._url.port}" if self._url.port else ""
        url = self._url._replace(netloc=f"{at}{port}").geturl()
        return self._make_server(url, self._url.netloc)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == _LOOPBACK
    return True
