"""Whether the engine's machine can hold a service twice, as an update without a gap needs."""

from __future__ import annotations

import pulumi

from components.config.field_types import GIBIBYTE
from components.config.stack_settings import PROJECT
from components.engine.info import EngineInfo
from components.plan.plan import Plan


def warn_of_memory(plan: Plan, info: EngineInfo | None) -> None:
    """Warn where an update could run out of memory; nothing where no engine has answered.

    A Swarm finds a node with enough memory by itself.
    """
    memory = 0 if plan.on_swarm or info is None else info.memory
    warning = memory_warning(plan, memory) if memory else None
    if warning:
        pulumi.log.warn(warning)


def memory_warning(plan: Plan, memory: int) -> str | None:
    """The warning for a machine with so many bytes, or None where the largest service fits twice.

    Limits are counted, not use: a container may need all of its limit at the worst moment.
    """
    twice = {name: s.memory for name, s in plan.local_services.items() if not plan.recreates(name)}
    if not twice:
        return None
    largest = max(twice, key=lambda name: twice[name])
    limits = sum(service.memory for service in plan.local_services.values())
    if limits + twice[largest] <= memory:
        return None
    return (
        f"{largest}: an update runs its old and its new container side by side, which may take "
        f"{_gib(limits + twice[largest])} ({_gib(limits)} for all services, {_gib(twice[largest])} "
        f"for it once more), and the engine's machine has {_gib(memory)}; "
        f"to stop the old one first, run: "
        f"pulumi config set --path '{PROJECT}:updates.{largest}' recreate"
    )


def _gib(size: int) -> str:
    return f"{size / GIBIBYTE:.1f} GiB"
