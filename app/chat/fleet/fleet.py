"""All models of the gateway, and the choice of a model for a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from app.chat.fleet.circuit_breaker import CircuitBreaker
from app.chat.fleet.endpoint import Endpoint
from app.chat.fleet.pool import ModelCard, ModelPool
from app.chat.fleet.prefix_affinity import fingerprints
from app.chat.fleet.replica import Health, Replica, State
from app.chat.openai.errors import ApiError
from app.chat.settings import AUTO_MODEL, GatewaySettings, ModelSettings


class Fleet:
    """The pools by model name, in the order of the configuration."""

    def __init__(self, pools: Sequence[ModelPool]) -> None:
        self._pools = {pool.card.id: pool for pool in pools}

    def __iter__(self) -> Iterator[ModelPool]:
        return iter(self._pools.values())

    def route(
        self, name: str, body: Mapping[str, Any], allowed: Collection[str] | None = None
    ) -> tuple[ModelPool, Sequence[int]]:
        """The pool for a requested model, or for `auto`, and the fingerprints of the prompt.

        The fingerprints are empty where there is nothing to choose between.
        Raises ApiError 404 for an unknown model, 403 for one that the key does not allow.

        :param allowed: the models that the client may use; None for all.
        """
        if name == AUTO_MODEL:
            prompt = fingerprints(body)
            return self._best(prompt, allowed), prompt
        pool = self._pools.get(name)
        if pool is None:
            # A limited key must not reveal the names of other models.
            available = ", ".join(sorted(allowed if allowed is not None else self._pools)) or "none"
            raise ApiError(
                404,
                f"the model '{name}' does not exist; available: {available}",
                code="model_not_found",
                param="model",
            )
        if allowed is not None and name not in allowed:
            raise ApiError(
                403, f"this key does not allow '{name}'", code="model_not_allowed", param="model"
            )
        return pool, fingerprints(body) if len(pool.replicas) > 1 else ()

    def _best(self, prompt: Sequence[int], allowed: Collection[str] | None) -> ModelPool:
        pools = [pool for pool in self if allowed is None or pool.card.id in allowed]
        if not pools:
            raise ApiError(503, "no model is available", code="no_model", param="model")

        def preference(pool: ModelPool) -> tuple[bool, bool, bool, bool, float]:
            card = pool.card
            has_prefix = pool.prefixes.find(prompt) is not None
            unready = pool.health.state is not State.READY
            # External and placeholder models are last resorts.
            return (unready, card.external, card.placeholder is not None, not has_prefix, pool.load)

        return min(pools, key=preference)


def build_fleet(
    settings: GatewaySettings, github_token: str | None, clock: Callable[[], float]
) -> Fleet:
    """The pools of the configuration; GitHub Models only with a token."""
    pools = [_local_pool(model, settings, clock) for model in settings.models]
    if github_token is not None:
        pools += _github_pools(settings, github_token, clock)
    return Fleet(pools)


def _local_pool(
    model: ModelSettings, settings: GatewaySettings, clock: Callable[[], float]
) -> ModelPool:
    endpoints = [
        Endpoint(url, model, lambda: CircuitBreaker(settings.breaker, clock))
        for url in model.replicas
    ]
    card = ModelCard(
        id=model.id,
        description=model.description,
        context=model.context,
        placeholder=model.placeholder,
        external=False,
    )
    pool = ModelPool(card, (), settings.limits.queue, clock, endpoints)
    pool.change((), [endpoint.unresolved for endpoint in endpoints])
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
