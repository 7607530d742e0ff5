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
    for name, service in _inference_services(plan).items():
        for model, needed in _estimates(service, plan).items():
            if not machine or needed.total <= machine:
                continue
            _, placeholder = plan.loaded_model(model)
            yield plan.catalogue.source_of(name).problem(
                ("services", name, "models" if service.models else "model"),
                f"needs {_gib(needed.total)} of memory, and the engine's machine has "
                f"{_gib(machine)}: {needed}",
                found=placeholder.name if placeholder else model,
                allowed="allowed: a smaller model, or one with a smaller context or fewer slots",
            )


def warn_of_memory(plan: Plan, info: EngineInfo | None) -> None:
    """Warn where the machine could run out of memory; nothing where no engine has answered."""
    machine = _machine_memory(plan, info)
    if not machine:
        return
    warning = (
        models_warning(plan, machine)
        or memory_warning(plan, machine)
        or limits_warning(plan, machine)
        or sum_warning(plan, machine)
    )
    if warning:
        pulumi.log.warn(warning)


def limits_warning(plan: Plan, memory: int) -> str | None:
    """The warning for limits that the machine cannot reach, so that they protect it from nothing.

    No problem: a placeholder model runs on a small machine with the limit of the real one.
    """
    beyond = {n: s.memory for n, s in plan.local_services.items() if s.memory > memory}
    if not beyond:
        return None
    each = ", ".join(f"{name} {_gib(size)}" for name, size in beyond.items())
    return (
        f"limits of memory above the {_gib(memory)} of the engine's machine ({each}): the machine "
        "runs out of memory before such a service is ended; lower memory in services.yaml, or "
        "llm-stack:defaults.memory"
    )


def models_warning(plan: Plan, memory: int) -> str | None:
    """The warning for a machine with so many bytes, or None where all models fit together."""
    needed = {
        name: sum(one.total for one in service.in_memory(_estimates(service, plan)).values())
        for name, service in _inference_services(plan).items()
    }
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


def sum_warning(plan: Plan, memory: int) -> str | None:
    """The warning where all limits together are above the machine's memory.

    `memory_warning` covers it for each stack with a service that an update runs twice.
    """
    limits = sum(service.memory for service in plan.local_services.values())
    if limits <= memory:
        return None
    return (
        f"the services may use {_gib(limits)} of memory together, and the engine's machine has "
        f"{_gib(memory)}: it may end a container when all of them need theirs; lower memory in "
        "services.yaml, or leave a service off"
    )


def _machine_memory(plan: Plan, info: EngineInfo | None) -> int:
    """Bytes; 0 where they are not known. A Swarm finds a node with enough memory by itself."""
    return 0 if plan.on_swarm or info is None else info.memory


def _inference_services(plan: Plan) -> dict[str, InferenceService]:
    services = plan.local_services.items()
    return {name: one for name, one in services if isinstance(one, InferenceService)}


def _estimates(service: InferenceService, plan: Plan) -> dict[str, Estimate]:
    """What each model of a service needs, or the placeholder that it loads for one."""
    on_gpu = service.gpus is not None
    return {name: model_memory(plan.loaded_model(name)[0], on_gpu=on_gpu) for name in service.names}


def _gib(size: int) -> str:
    return f"{size / GIBIBYTE:.1f} GiB"
