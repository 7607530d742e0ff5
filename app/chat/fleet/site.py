"""One configured address of a model, and the servers that stand behind it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from app.chat.fleet.circuit_breaker import CircuitBreaker
from app.chat.fleet.replica import Replica, State
from app.chat.settings import ModelSettings

# Two addresses of one server.
_LOOPBACK = "localhost"


class Site:
    """Knows the servers that were last found at a configured address.

    `unresolved` stands for all of them as long as none is known, so that there is always something
    to tell the state of.
    """

    def __init__(
        self, url: str, model: ModelSettings, make_breaker: Callable[[], CircuitBreaker]
    ) -> None:
        self._url = urlsplit(url)
        self._model = model
        self._make_breaker = make_breaker
        self._found: dict[str, Replica] = {}
        self.unresolved = self._replica(self._url.hostname or "", None)

    @property
    def name(self) -> str | None:
        """The name to be resolved. None where the address is to be used as it is.

        A certificate is issued for a name, so what stands behind one is asked by it.
        """
        host = self._url.hostname or ""
        return None if self._url.scheme != "http" or _is_literal(host) else host

    @property
    def port(self) -> int:
        return self._url.port or 80

    @property
    def known(self) -> bool:
        """Whether any address is known."""
        return bool(self._found)

    @property
    def answers(self) -> bool:
        """Whether any of the servers was well when it was last asked."""
        return any(replica.health.state is State.READY for replica in self._found.values())

    def found(self, addresses: Iterable[str]) -> tuple[list[Replica], list[Replica]]:
        """Take in the addresses that the name now stands for: which replicas go, which come."""
        wanted = list(addresses)
        gone = [self._found.pop(address) for address in [*self._found] if address not in wanted]
        new = []
        if wanted and not self._found and not gone:
            gone = [self.unresolved]
        elif not wanted and gone:
            new = [self.unresolved]
        for address in wanted:
            if address not in self._found:
                self._found[address] = self._replica(address, self._url.netloc)
                new.append(self._found[address])
        return gone, new

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
