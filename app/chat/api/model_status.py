"""How the models fare, in the forms that clients and the page read."""

from __future__ import annotations

from typing import Any

from app.chat.fleet.fleet import Fleet
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.replica import Health, Replica, State


def describe(pool: ModelPool, created: int) -> dict[str, Any]:
    """A model as OpenAI's API lists it, with fields of our own about its state."""
    card = pool.card
    return {
        "id": card.id,
        "object": "model",
        "created": created,
        "owned_by": "github-models" if card.external else "llm-stack",
        "description": card.description,
        "context": card.context,
        "external": card.external,
        "placeholder": None if card.placeholder is None else card.placeholder.model_dump(),
        **_condition(pool.health),
        "slots": pool.slots,
        "busy": pool.in_flight,
        "queue": len(pool.line),
    }


def status(fleet: Fleet, created: int) -> dict[str, Any]:
    """Everything the page shows about the models; addresses are left out."""
    models = [
        {**describe(pool, created), "replicas": [_replica(replica) for replica in pool.replicas]}
        for pool in fleet
    ]
    ready = sum(model["state"] == State.READY for model in models)
    return {"ready": ready > 0, "models_ready": ready, "models": models}


def _replica(replica: Replica) -> dict[str, Any]:
    return {
        "name": replica.name,
        **_condition(replica.trouble),
        "draining": replica.draining,
        "slots": replica.slots,
        "busy": replica.in_flight,
        "breaker": replica.breaker.state,
    }


def _condition(health: Health) -> dict[str, Any]:
    # A replica that was not asked yet is about to be: for a reader, the model is on its way.
    state = State.LOADING if health.state is State.UNKNOWN else health.state
    return {"state": state, "reason": health.reason}
