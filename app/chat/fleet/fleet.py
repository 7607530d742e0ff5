"""All models of the gateway, and the choice of a model for a request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.chat.apis.api import Api
from app.chat.apis.needs import WHAT_IS_MISSING, Need, needs_of
from app.chat.apis.table import PATH_OF_TASK
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.prefix_affinity import fingerprints
from app.chat.fleet.server import State
from app.chat.openai.errors import ApiError
from app.chat.settings import AUTO_MODEL, ModelTask

# A loaded model answers first, one that is being loaded soon.
_LOAD_ORDER = {State.WAKING: 1, State.ASLEEP: 2}
# Of the names in an error: a server may list hundreds.
_MOST_NAMES = 20


class Fleet:
    """The pools by model name, in the order of the configuration."""

    def __init__(self, pools: Iterable[ModelPool] = ()) -> None:
        self.show(pools)

    def __iter__(self) -> Iterator[ModelPool]:
        return iter(self._pools.values())

    def show(self, pools: Iterable[ModelPool]) -> None:
        """Replace the pools; running requests keep theirs."""
        self._pools = {pool.card.id: pool for pool in pools}

    def named(self, name: str, allowed: Collection[str] | None = None) -> ModelPool:
        """The pool of a model, or the one that `auto` chooses for a chat.

        Raises ApiError 404 for an unknown model, 403 for one that the key does not allow.

        :param allowed: the models that the client may use; None for all.
        """
        if name == AUTO_MODEL:
            return self._best((), allowed, (ModelTask.CHAT,))
        pool = self._pools.get(name)
        if pool is None:
            # A limited key must not reveal the names of other models.
            available = _some_of(sorted(allowed if allowed is not None else self._pools))
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
        return pool

    def route(
        self,
        name: str,
        api: Api,
        body: Mapping[str, Any],
        allowed: Collection[str] | None = None,
    ) -> tuple[ModelPool, Sequence[int]]:
        """The pool for a requested model, or for `auto`, and the fingerprints of the prompt.

        The fingerprints are empty where there is nothing to choose between.
        Raises ApiError 400 for a model without a task of the API, 404 and 403 as `named` does.
        """
        needs = needs_of(api, body)
        if name == AUTO_MODEL:
            prompt = fingerprints(api.prompt(body))
            return self._best(prompt, allowed, api.tasks, needs), prompt
        pool = self.named(name, allowed)
        if not _has_one(pool, api.tasks):
            raise _wrong_task(pool, api.tasks)
        if missing := _missing(pool, needs):
            raise self._incapable(f"the model '{name}'", missing, allowed)
        return pool, fingerprints(api.prompt(body)) if len(pool.replicas) > 1 else ()

    def _best(
        self,
        prompt: Sequence[int],
        allowed: Collection[str] | None,
        tasks: Sequence[ModelTask],
        needs: Collection[Need] = (),
    ) -> ModelPool:
        pools = [
            pool
            for pool in self
            if _has_one(pool, tasks)
            # A conversation leaves the stack only when its client names the model.
            and not pool.card.external
            and (allowed is None or pool.card.id in allowed)
        ]
        if not pools:
            message = f"no local model with {_name(tasks)} is available"
            raise ApiError(503, message, code="no_model", param="model")
        missing = [_missing(pool, needs) for pool in pools]
        if all(missing):
            raise self._incapable("each local model", missing[0], allowed)
        pools = [pool for pool, lacks in zip(pools, missing, strict=True) if not lacks]

        def preference(pool: ModelPool) -> tuple[bool, int, bool, int, bool, float]:
            health = pool.health
            # The first task of an API is what it is made for.
            task = next(number for number, one in enumerate(tasks) if one in pool.card.tasks)
            has_prefix = pool.prefixes.find(prompt) is not None
            is_placeholder = pool.card.placeholder is not None
            load_order = _LOAD_ORDER.get(health.state, 0)
            # A placeholder model is the last resort.
            return (
                not health.answers,
                task,
                is_placeholder,
                load_order,
                not has_prefix,
                pool.load,
            )

        return min(pools, key=preference)

    def _incapable(
        self, which: str, missing: Sequence[Need], allowed: Collection[str] | None
    ) -> ApiError:
        """The error for a request that needs what a model does not have."""
        need = missing[0]
        able = [
            name
            for name, pool in self._pools.items()
            if getattr(pool.capabilities, need) and (allowed is None or name in allowed)
        ]
        others = f"; models that can: {_some_of(able)}" if able else ""
        param = "tool_choice" if need is Need.TOOLS else None
        message = f"{which} {WHAT_IS_MISSING[need]}{others}"
        return ApiError(400, message, code="capability_missing", param=param)


def _missing(pool: ModelPool, needs: Collection[Need]) -> Sequence[Need]:
    """The needs that the model does not meet; it may meet those that are not reported."""
    capabilities = pool.capabilities
    return [need for need in sorted(needs) if getattr(capabilities, need) is False]


def _has_one(pool: ModelPool, tasks: Sequence[ModelTask]) -> bool:
    return any(task in pool.card.tasks for task in tasks)


def _name(tasks: Sequence[ModelTask]) -> str:
    quoted = " or ".join(f"'{task}'" for task in tasks)
    return f"the task {quoted}" if len(tasks) == 1 else f"one of the tasks {quoted}"


def _wrong_task(pool: ModelPool, tasks: Sequence[ModelTask]) -> ApiError:
    able = [
        f"{own} ({PATH_OF_TASK[own]})" if own in PATH_OF_TASK else str(own)
        for own in pool.card.tasks
    ]
    return ApiError(
        400,
        f"the model '{pool.card.id}' does not have {_name(tasks)}; it has: {', '.join(able)}",
        code="task_not_supported",
        param="model",
    )


def _some_of(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES]) or "none"
    return f"{shown} and {more} more" if more > 0 else shown
