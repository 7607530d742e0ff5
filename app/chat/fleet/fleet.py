"""Every model that the gateway serves, and which of them answers a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from app.chat.fleet.circuit_breaker import CircuitBreaker
from app.chat.fleet.pool import ModelCard, ModelPool
from app.chat.fleet.prefix_affinity import fingerprints
from app.chat.fleet.replica import Health, Replica, State
from app.chat.fleet.site import Site
from app.chat.openai.errors import ApiError
from app.chat.settings import AUTO_MODEL, GatewaySettings, ModelSettings


class Fleet:
    """The pools by the name of their model, in the order of the configuration."""

    def __init__(self, pools: Sequence[ModelPool]) -> None:
        self._pools = {pool.card.id: pool for pool in pools}

    def __iter__(self) -> Iterator[ModelPool]:
        return iter(self._pools.values())

    def route(
        self, name: str, body: Mapping[str, Any], allowed: Collection[str] | None = None
    ) -> tuple[ModelPool, Sequence[int]]:
        """The pool for the model that a client asked for; `auto` lets the gateway choose.

        :param allowed: the models that the client may use; None for all.
        Returns the fingerprints of the prompt as well, where there is a choice that needs them.
        Raises ApiError: 404 for an unknown model, 403 for one that the key does not cover.
        """
        if name == AUTO_MODEL:
            prompt = fingerprints(body)
            return self._best(prompt, allowed), prompt
        pool = self._pools.get(name)
        if pool is None:
            # A client with a limited key is not told what else there is.
            known = ", ".join(sorted(allowed if allowed is not None else self._pools)) or "none"
            raise ApiError(
                404,
                f"the model '{name}' does not exist; there are: {known}",
                code="model_not_found",
                param="model",
            )
        if allowed is not None and name not in allowed:
            raise ApiError(
                403, f"this key does not cover '{name}'", code="model_not_allowed", param="model"
            )
        return pool, fingerprints(body) if len(pool.replicas) > 1 else ()

    def _best(self, prompt: Sequence[int], allowed: Collection[str] | None) -> ModelPool:
        pools = [pool for pool in self if allowed is None or pool.card.id in allowed]
        if not pools:
            raise ApiError(503, "there is no model to choose from", code="no_model", param="model")

        def preference(pool: ModelPool) -> tuple[bool, bool, bool, bool, float]:
            card = pool.card
            knows = pool.prefixes.find(prompt) is not None
            unready = pool.health.state is not State.READY
            # External and placeholder models are last resorts.
            return (unready, card.external, card.placeholder is not None, not knows, pool.load)

        return min(pools, key=preference)


def build_fleet(
    settings: GatewaySettings, github_token: str | None, clock: Callable[[], float]
) -> Fleet:
    """The pools that the configuration describes; GitHub Models only where there is a token."""
    pools = [_local_pool(model, settings, clock) for model in settings.models]
    if github_token is not None:
        pools += _github_pools(settings, github_token, clock)
    return Fleet(pools)


def _local_pool(
    model: ModelSettings, settings: GatewaySettings, clock: Callable[[], float]
) -> ModelPool:
    sites = [
        Site(url, model, lambda: CircuitBreaker(settings.breaker, clock)) for url in model.replicas
    ]
    card = ModelCard(
        id=model.id,
        description=model.description,
        context=model.context,
        placeholder=model.placeholder,
        external=False,
    )
    pool = ModelPool(card, (), settings.limits.queue, clock, sites)
    pool.change((), [site.unresolved for site in sites])
    return pool


def _github_pools(
    settings: GatewaySettings, token: str, clock: Callable[[], float]
) -> Iterator[ModelPool]:
    github = settings.github_models
    for model in github.models:
        replica = Replica(
            name="github-models",
            api_url=github.url.rstrip("/"),
            health_url=None,
            slots=github.concurrency,
            breaker=CircuitBreaker(settings.breaker, clock),
            token=token,
            external=True,
            health=Health(State.READY),
        )
        card = ModelCard(
            id=model,
            description="GitHub Models: the conversation leaves this machine",
            context=None,
            placeholder=None,
            external=True,
        )
        yield ModelPool(card, [replica], settings.limits.queue, clock)
