"""Gives each model name to its provider, and keeps the fleet's pools equal to what they offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from app.chat.fleet.circuit_breaker import CircuitBreaker
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.provider import Provider, local_model, routed_models, served_models
from app.chat.fleet.replica import Replica
from app.chat.fleet.server import Server
from app.chat.settings import GatewaySettings
from app.shared.json_log import Log

_log = Log(__name__)

# Clashes of names that are remembered, so that each is logged once.
_MOST_CLASHES = 1000


class Directory:
    """All providers, and the pools of their models.

    A name belongs to the first provider that has it. Names of the configuration come before those
    that a server lists, and those of the stack's own servers before those of external ones: no
    server can take a model from another by listing its name.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        settings: GatewaySettings,
        clock: Callable[[], float],
    ) -> None:
        self.providers = providers
        self.fleet = Fleet()
        self._settings = settings
        self._clock = clock
        self._owners: Mapping[str, Provider] = {}
        self._pools: dict[str, ModelPool] = {}
        self._clashes: set[tuple[str, str]] = set()
        self._order = sorted(providers, key=lambda one: (one.discovers, one.external))
        for provider in providers:
            provider.changed = self.refresh
        self.refresh()

    def refresh(self) -> None:
        """Add, change and remove pools; what waits for a model that is gone gets an error."""
        holders = self._holders()
        owners = {name: providers[0] for name, providers in holders.items()}
        for name in [*self._pools]:
            if owners.get(name) is not self._owners[name]:
                pool = self._pools.pop(name)
                self._set_replicas(pool, ())
        for name, providers in holders.items():
            if name not in self._pools:
                self._pools[name] = ModelPool(
                    providers[0].card(name), (), self._settings.limits.queue, self._clock
                )
            servers = [
                server
                for provider in providers
                for server in provider.servers
                if server.offers(name)
            ]
            own_slots = {
                server: provider.own_slots.get(name)
                for provider in providers
                for server in provider.servers
            }
            self._set_replicas(self._pools[name], servers, own_slots)
        self._owners = owners
        self.fleet.show(
            self._pools[name]
            for provider in self.providers
            for name in provider.offered()
            if owners[name] is provider
        )

    def _holders(self) -> dict[str, list[Provider]]:
        """The providers of each model, the one that it belongs to first."""
        holders: dict[str, list[Provider]] = {}
        for provider in self._order:
            for name in provider.offered():
                first = holders.setdefault(name, [provider])[0]
                if first is provider:
                    continue
                if provider.shares_with(first):
                    holders[name].append(provider)
                else:
                    self._log_clash(name, first, provider)
        return holders

    def _log_clash(self, name: str, first: Provider, other: Provider) -> None:
        if (name, other.name) in self._clashes or len(self._clashes) >= _MOST_CLASHES:
            return
        self._clashes.add((name, other.name))
        _log.warning(
            "two servers offer a model of this name; the first has it",
            model=name,
            server=first.name,
            ignored=other.name,
        )

    def _set_replicas(
        self,
        pool: ModelPool,
        servers: Sequence[Server],
        own_slots: Mapping[Server, int | None] = MappingProxyType({}),
    ) -> None:
        present = {replica.server for replica in pool.replicas}
        removed = [replica for replica in pool.replicas if replica.server not in servers]
        added = [
            self._replica(pool.card.id, server, own_slots.get(server))
            for server in servers
            if server not in present
        ]
        if removed or added:
            pool.change(removed, added)

    def _replica(self, model: str, server: Server, own_slots: int | None) -> Replica:
        breaker = CircuitBreaker(self._settings.breaker, self._clock)
        return Replica(model, "", server, breaker, own_slots)


def build_directory(
    settings: GatewaySettings, keys: Mapping[str, str], clock: Callable[[], float]
) -> Directory:
    """The providers of the configuration.

    :param keys: the API keys of servers by the name of their file.
    """

    def providers() -> Iterator[Provider]:
        for model in settings.models:
            yield local_model(model, settings, clock)
        for router in settings.routers:
            yield routed_models(router, settings, clock)
        for server in settings.servers:
            yield served_models(server, settings, keys, clock)

    return Directory(list(providers()), settings, clock)
