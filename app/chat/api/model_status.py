"""State of the models as JSON, for clients and the page."""

from __future__ import annotations

from typing import Any

from app.chat.fleet.fleet import Fleet
from app.chat.fleet.pool import ModelPool
from app.chat.fleet.replica import Replica
from app.chat.fleet.server import Health, State
from app.chat.settings import ModelTask


def describe(pool: ModelPool, created: int) -> dict[str, Any]:
    """A model as OpenAI's API lists it, with additional fields about its state."""
    card = pool.card
    return {
        "id": card.id,
        "object": "model",
        "created": created,
        "owned_by": card.owner,
        "description": card.description,
        "tasks": card.tasks,
        "context": pool.context,
        "capabilities": _capabilities(pool),
        "external": card.external,
        "placeholder": None if card.placeholder is None else card.placeholder.model_dump(),
        **_state(pool.health),
        "available": pool.health.answers,
        "slots": pool.slots,
        "busy": pool.busy,
        "queue": len(pool.queue),
    }


def status(fleet: Fleet, created: int) -> dict[str, Any]:
    """The state of all models and replicas, without IP addresses."""
    models = [
        {**describe(pool, created), "replicas": [_replica(replica) for replica in pool.replicas]}
        for pool in fleet
    ]
    ready = sum(pool.health.answers for pool in fleet)
    return {"ready": ready > 0, "models_ready": ready, "models": models}


def _capabilities(pool: ModelPool) -> dict[str, bool | None]:
    """What the model can do; None where its server does not report it."""
    tasks, reported = pool.card.tasks, pool.capabilities
    return {
        "tools": reported.tools,
        "vision": reported.vision,
        "audio": reported.audio,
        "video": reported.video,
        "thinking": reported.thinking,
        "embeddings": ModelTask.EMBEDDING in tasks,
        "rerank": ModelTask.RERANK in tasks,
    }


def _replica(replica: Replica) -> dict[str, Any]:
    return {
        "name": replica.name,
        **_state(replica.effective_health),
        "draining": replica.server.draining,
        "slots": replica.slots,
        "busy": replica.busy,
        "breaker": replica.breaker.state,
    }


def _state(health: Health) -> dict[str, Any]:
    # Before the first health check ends, the model counts as loading too.
    loading = health.state in (State.UNKNOWN, State.WAKING)
    return {"state": State.LOADING if loading else health.state, "reason": health.reason}
