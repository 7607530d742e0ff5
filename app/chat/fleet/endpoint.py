"""One configured URL of a model, and the replicas at the IP addresses of its host."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from app.chat.fleet.circuit_breaker import CircuitBreaker
from app.chat.fleet.replica import Replica, State
from app.chat.settings import ModelSettings

# Resolves to two addresses of one server.
_LOOPBACK = "localhost"


class Endpoint:
    """Replicas at the IP addresses that were found last.

    While there are none, `unresolved` is the only replica, so that the model always has a state.
    """

    def __init__(
        self, url: str, model: ModelSettings, make_breaker: Callable[[], CircuitBreaker]
    ) -> None:
        self._url = urlsplit(url)
        self._model = model
        self._make_breaker = make_breaker
        self._replicas: dict[str, Replica] = {}
        self.unresolved = self._replica(self._url.hostname or "", None)

    @property
    def host_to_resolve(self) -> str | None:
        """The host name to resolve; None for an IP address, localhost, and HTTPS.

        HTTPS requests use the host name, because the certificate is issued for it.
        """
        host = self._url.hostname or ""
        return None if self._url.scheme != "http" or _is_literal(host) else host

    @property
    def port(self) -> int:
        return self._url.port or 80

    @property
    def resolved(self) -> bool:
        """Whether there is at least one IP address."""
        return bool(self._replicas)

    @property
    def ready(self) -> bool:
        """Whether at least one replica passed its last health check."""
        return any(replica.health.state is State.READY for replica in self._replicas.values())

    def update(self, addresses: Iterable[str]) -> tuple[list[Replica], list[Replica]]:
        """Set the current IP addresses; returns the removed and the added replicas."""
        wanted = list(addresses)
        removed = [
            self._replicas.pop(address) for address in [*self._replicas] if address not in wanted
        ]
        added = []
        if wanted and not self._replicas and not removed:
            removed = [self.unresolved]
        elif not wanted and removed:
            added = [self.unresolved]
        for address in wanted:
            if address not in self._replicas:
                self._replicas[address] = self._replica(address, self._url.netloc)
                added.append(self._replicas[address])
        return removed, added

    def _replica(self, address: str, host: str | None) -> Replica:
        at = f"[{address}]" if ":" in address else address
        port = f":{self._url.port}" if self._url.port else ""
        url = self._url._replace(netloc=f"{at}{port}").geturl()
        status_port = self._model.status_port
        return Replica(
            name="",
            api_url=f"{url}/v1",
            health_url=f"{url}/health",
            status_url=f"http://{at}:{status_port}/" if status_port else None,
            slots=self._model.slots,
            breaker=self._make_breaker(),
            host=host,
        )


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == _LOOPBACK
    return True
