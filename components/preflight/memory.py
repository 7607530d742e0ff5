"""Whether the engine's machine can hold the models of a stack, and a service twice, as an update
without a gap needs."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi

from components.config.field_types import GIBIBYTE
from components.config.memory_estimate import Estimate, model_memory
from components.config.problems import Problem
from components.config.stack_settings import PROJECT
from components.engine.info import EngineInfo
from components.kinds.inference import InferenceService
from components.plan.plan import Plan


def memory_problems(plan: Plan, info: EngineInfo | None) -> Iterator[Problem]:
    """A problem for each model that the engine's machine cannot hold even alone."""
    machine = _machine_memory(plan, info)
    for name, model, needed in _models(plan):
        if machine and needed.total > machine:
            yield plan.catalogue.source_of(name).problem(
                ("services", name, "model"),
                f"needs {_gib(needed.total)} of memory, and the engine's machine has "
                f"{_gib(machine)}: {needed}",
                found=model,
                allowed="allowed: a smaller model, or one with a smaller context or fewer slots",
            )


def warn_of_memory(plan: Plan, info: EngineInfo | None) -> None:
    """Warn where the machine could run out of memory; nothing where no engine has answered."""
    machine = _machine_memory(plan, info)
    warning = (models_warning(plan, machine) or memory_warning(plan, machine)) if machine else None
    if warning:
        pulumi.log.warn(warning)


def models_warning(plan: Plan, memory: int) -> str | None:
    """The warning for a machine with so many bytes, or None where all models fit together."""
    needed = {name: one.total for name, _, one in _models(plan)}
    total = sum(needed.values())
    if total <= memory:
        return None
    each = ", ".join(f"{name} {_gib(size)}" for name, size in needed.items())
    return (
        f"the models need {_gib(total)} of memory ({each}), and the engine's machine has "
        f"{_gib(memory)}: it may end a container when all of them are in use; leave a service "
        f"off, or choose a smaller model, a smaller context or fewer slots"
    )


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


def _machine_memory(plan: Plan, info: EngineInfo | None) -> int:
    """Bytes; 0 where they are not known. A Swarm finds a node with enough memory by itself."""
    return 0 if plan.on_swarm or info is None else info.memory


def _models(plan: Plan) -> Iterator[tuple[str, str, Estimate]]:
    """Each service with a model, the model that it loads, and what that needs."""
    for name, service in plan.local_services.items():
        if isinstance(service, InferenceService):
            model, placeholder = plan.loaded_model(service.model)
            needed = model_memory(model, on_gpu=service.gpus is not None)
            yield name, placeholder.name if placeholder else service.model, needed


def _gib(size: int) -> str:
    return f"{size / GIBIBYTE:.1f} GiB"
