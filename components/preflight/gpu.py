"""Whether the engine can provide the GPUs that services need."""

from __future__ import annotations

from collections.abc import Iterator

from components.config.problems import Problem
from components.engine.info import EngineInfo
from components.plan.plan import Plan

RUNTIME = "nvidia"
# Before the number or id of a device by the Container Device Interface.
DEVICE = "nvidia.com/gpu="


def gpu_problems(plan: Plan, info: EngineInfo | None) -> Iterator[Problem]:
    """A problem for each service whose GPUs the engine cannot provide.

    An unreachable engine is reported by the provider. Swarm nodes are not checked.
    """
    if info is None or plan.on_swarm:
        return
    if has_gpus(info):
        yield from _number_problems(plan, info)
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


def _number_problems(plan: Plan, info: EngineInfo) -> Iterator[Problem]:
    """A problem for each service with more GPUs than the machine has, where the engine lists them.

    It does for the Container Device Interface, by number, by id and all of them by one name.
    """
    listed = {device.removeprefix(DEVICE) for device in info.devices if device.startswith(DEVICE)}
    numbers = sorted(one for one in listed if one.isdigit())
    if not numbers:
        return
    for name, workload in plan.workloads.items():
        gpus = workload.gpus or ""
        ids = gpus.strip('"').removeprefix("device=").split(",") if "device=" in gpus else []
        unknown = [one for one in ids if one not in listed]
        if unknown or (gpus.isdigit() and int(gpus) > len(numbers)):
            yield plan.catalogue.source_of(name).problem(
                ("services", name, "gpus"),
                "the engine's machine does not have these GPUs",
                found=", ".join(unknown) or gpus,
                allowed=f"allowed: its {len(numbers)}, by number: {', '.join(numbers)}",
                run="docker info --format '{{json .DiscoveredDevices}}'",
            )


def has_gpus(info: EngineInfo) -> bool:
    """Whether an engine has NVIDIA's runtime, or its GPUs by the Container Device Interface."""
    return RUNTIME in info.runtimes or any(DEVICE in device for device in info.devices)
