"""Whether the engine can hand GPUs to the services that ask for them."""

from __future__ import annotations

from components.engine.info import EngineInfo
from components.plan.plan import Plan
from components.config.schema import SettingsError

RUNTIME = "nvidia"


def ensure_gpus_can_be_had(plan: Plan, info: EngineInfo | None) -> None:
    """See that the engine has what GPU services need; raises `SettingsError` where it has not.

    Of an engine that cannot be reached the provider complains; of a Swarm's nodes nothing is known
    here.
    """
    asking = {name: one.gpus for name, one in plan.inference_services.items() if one.gpus}
    if not asking or plan.on_swarm:
        return
    if info is not None and not has_gpus(info):
        runtimes = ", ".join(info.runtimes) or "none"
        raise SettingsError(
            f"services.yaml: services.{name}.gpus: the engine cannot hand out GPUs; found {gpus!r} "
            f"and the runtimes {runtimes}, allowed: an engine with NVIDIA's container toolkit, "
            "or no gpus"
            for name, gpus in asking.items()
        )


def has_gpus(info: EngineInfo) -> bool:
    """Whether an engine knows NVIDIA's runtime, or its GPUs by the Container Device Interface."""
    return RUNTIME in info.runtimes or any("nvidia.com/gpu" in device for device in info.devices)
