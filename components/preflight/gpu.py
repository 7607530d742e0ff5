"""Whether the engine can provide the GPUs that services need."""

from __future__ import annotations

from collections.abc import Iterator

from components.config.problems import Problem
from components.engine.info import EngineInfo
from components.plan.plan import Plan

RUNTIME = "nvidia"


def gpu_problems(plan: Plan, info: EngineInfo | None) -> Iterator[Problem]:
    """A problem for each service whose GPUs the engine cannot provide.

    An unreachable engine is reported by the provider. Swarm nodes are not checked.
    """
    if info is None or has_gpus(info) or plan.on_swarm:
        return
    runtimes = ", ".join(info.runtimes) or "none"
    for name, workload in plan.workloads.items():
        if workload.gpus:
            yield plan.catalogue.source_of(name).problem(
                ("services", name, "gpus"),
                f"the engine cannot provide GPUs; its runtimes are {runtimes}",
                found=workload.gpus,
                allowed="allowed: an engine with NVIDIA's container toolkit, or no gpus",
            )


def has_gpus(info: EngineInfo) -> bool:
    """Whether an engine has NVIDIA's runtime, or its GPUs by the Container Device Interface."""
    return RUNTIME in info.runtimes or any("nvidia.com/gpu" in device for device in info.devices)
