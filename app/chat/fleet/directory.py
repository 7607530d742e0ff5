"""Gives each model name to its provider, and keeps the fleet's pools equal to what they offer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from app.chat.fleet.circuit_breaker import CircuitBreaker
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.provider import Provider
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
        self.providers: Sequence[Provider] = ()
        self.fleet = Fleet()
        self.changed = asyncio.Event()
        """Set when `watched` has changed."""
        self._settings = settings
        self._clock = clock
        self._owners: Mapping[str, Provider] = {}
        self._pools: dict[str, ModelPool] = {}
        self._clashes: set[tuple[str, str]] = set()
        self._order: Sequence[Provider] = ()
        # By provider: the one of an earlier configuration, which serves until its successor does.
        self._predecessors: dict[Provider, Provider] = {}
        # Of models that are no longer offered, while requests wait for them.
        self._leaving: dict[ModelPool, Provider] = {}
        self.update(providers)

    @property
    def watched(self) -> set[Provider]:
        """The providers whose servers are in use."""
        return {*self.providers, *self._predecessors.values(), *self._leaving.values()}

    def update(self, providers: Sequence[Provider]) -> None:
        """Offer the models of these providers, and of no others.

        Requests that run are finished where they are. Those that wait for a model that is gone get
        the rest of its servers' time; those for a model with other servers wait for these.
        """
        before = {one.identity: one for one in self.providers}
        for provider in providers:
            old = before.get(provider.identity, provider)
            if old is not provider:
                self._succeed(old, provider)
            provider.changed = self.refresh
        self.providers = providers
        self._order = sorted(providers, key=lambda one: (one.discovers, one.external))
        self._predecessors = {
            new: old for new, old in self._predecessors.items() if new in providers
        }
        self.refresh()
        for name, pool in self._pools.items():
            pool.card = self._owners[name].card(name)
        self.changed.set()

    def _succeed(self, old: Provider, new: Provider) -> None:
        new.follow(old)
        staying = new.offered()
        self._owners = {
            name: new if one is old and name in staying else one
            for name, one in self._owners.items()
        }
        working = old if old.answers else self._predecessors.pop(old, old)
        self._predecessors[new] = working
        working.changed = self.refresh

    def release(self) -> None:
        """Drop predecessors whose successors serve, and models that no request waits for."""
        ready = [new for new, old in self._predecessors.items() if new.answers or not old.answers]
        for provider in ready:
            del self._predecessors[provider]
        gone = [pool for pool in self._leaving if not pool.queue]
        for pool in gone:
            del self._leaving[pool]
            self._set_replicas(pool, ())
        if ready:
            self.refresh()
        if ready or gone:
            self.changed.set()

    @property
    def has_to_release(self) -> bool:
        """Whether `release` has to be called until it is done."""
        return bool(self._predecessors or self._leaving)

    def refresh(self) -> None:
        """Add, change and remove pools; what waits for a model that is gone gets an error."""
        holders = self._holders()
        owners = {name: providers[0] for name, providers in holders.items()}
        for name in [*self._pools]:
            if owners.get(name) is not (owner := self._owners[name]):
                pool = self._pools.pop(name)
                if owner in self.providers:
                    self._set_replicas(pool, ())
                else:
                    # The configuration no longer has it; its servers may work on for a while.
                    self._leaving[pool] = owner
        for name, providers in holders.items():
            if name not in self._pools:
                self._pools[name] = ModelPool(
                    providers[0].card(name), (), self._settings.limits.queue, self._clock
                )
            self._set_replicas(self._pools[name], *self._servers(name, providers))
        self._owners = owners
        self.fleet.show(
            self._pools[name]
            for provider in self.providers
            for name in provider.offered()
            if owners[name] is provider
        )

    def _servers(
        self, name: str, providers: Sequence[Provider]
    ) -> tuple[list[Server], dict[Server, int | None]]:
        """The servers of a model, and how many slots each has for it alone."""
        found: dict[Server, int | None] = {}
        for provider in providers:
            for one in (provider, self._predecessors.get(provider)):
                if one is not None:
                    slots = one.own_slots.get(name)
                    found |= {server: slots for server in one.servers if server.offers(name)}
        return [*found], found

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
