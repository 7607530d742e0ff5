"""Whether the engine can hand GPUs to the services that ask for them."""

from __future__ import annotations

from typing import Any

from .engine import engine_info
from .plan import Plan
from .schema import SettingsError

RUNTIME = "nvidia"


def ensure_gpus_can_be_had(plan: Plan, docker_host: str | None) -> None:
    """See that the engine has what GPU services need; raises `SettingsError` where it has not.

    Of an engine that cannot be reached the provider complains; of a Swarm's nodes nothing is known
    here.
    """
    asking = {name: one.gpus for name, one in plan.inference_services.items() if one.gpus}
    if not asking or plan.on_swarm:
        return
    info = engine_info(docker_host)
    if info is not None and not has_gpus(info):
        runtimes = ", ".join(sorted(info.get("Runtimes") or {})) or "none"
        raise SettingsError(
            f"services.yaml: services.{name}.gpus: the engine cannot hand out GPUs; found {gpus!r} "
            f"and the runtimes {runtimes}, allowed: an engine with NVIDIA's container toolkit, "
            "or no gpus"
            for name, gpus in asking.items()
        )


def has_gpus(info: dict[str, Any]) -> bool:
    """Whether an engine knows NVIDIA's runtime, or its GPUs by the Container Device Interface."""
    devices = info.get("DiscoveredDevices") or []
    return RUNTIME in (info.get("Runtimes") or {}) or any(
        "nvidia.com/gpu" in str(device) for device in devices
    )
