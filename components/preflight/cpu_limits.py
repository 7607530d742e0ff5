"""Whether the engine can limit processors, as every container of a stack asks it to."""

from __future__ import annotations

from components.engine.info import EngineInfo
from components.plan.plan import Plan
from components.config.schema import SettingsError

DELEGATION = "https://docs.docker.com/engine/security/rootless/tips/#limiting-resources"


def ensure_cpus_can_be_limited(plan: Plan, info: EngineInfo | None) -> None:
    """Raises `SettingsError` where the engine would refuse every container that has a limit.

    It discards a limit on memory that it cannot hold, but not one on processors ("NanoCPUs can not
    be set"). A Swarm's nodes are other engines.
    """
    if info is None or info.limits_cpus or plan.on_swarm:
        return
    way = f"delegated to the engine's user, see {DELEGATION}" if info.rootless else "mounted"
    raise SettingsError(
        [
            "Docker Engine: cgroups: the engine cannot limit processors, and refuses each "
            "container with such a limit; found CpuCfsQuota false, allowed: the cgroup controller "
            f"cpu {way}"
        ]
    )
