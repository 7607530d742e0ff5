"""Whether the engine can limit processors as the containers of a stack need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pulumi

from components.config.problems import Problem
from components.engine.info import EngineInfo
from components.kinds.chat import ChatService
from components.plan.plan import Plan

DELEGATION = "https://docs.docker.com/engine/security/rootless/tips/#limiting-resources"


def cpu_limit_problems(plan: Plan, info: EngineInfo | None) -> Iterator[Problem]:
    """A problem where the engine would refuse every container that has a limit.

    It discards a limit on memory that it cannot hold, but not one on processors ("NanoCPUs can not
    be set"). A Swarm's nodes are other engines.
    """
    if info is None or info.limits_cpus or plan.on_swarm:
        return
    way = f"delegated to the engine's user, see {DELEGATION}" if info.rootless else "mounted"
    yield Problem(
        "Docker Engine",
        "cgroups",
        "the engine cannot limit processors, and refuses each container with such a limit",
        found="CpuCfsQuota false",
        allowed=f"allowed: the cgroup controller cpu {way}",
    )


def cpus_problems(plan: Plan, info: EngineInfo | None) -> Iterator[Problem]:
    """A problem for each service with more processors than the engine has, which it refuses."""
    if info is None or not info.cpus or plan.on_swarm:
        return
    allowed = f"allowed: at most the {info.cpus} of the engine's machine"
    for name, service in plan.local_services.items():
        if service.cpus <= info.cpus:
            continue
        text = "the engine has fewer processors"
        if "cpus" in service.limits_from_stack:
            problem = plan.source.problem(("defaults", "cpus"), text, allowed=allowed)
        else:
            source = plan.catalogue.source_of(name)
            problem = source.problem(("services", name, "cpus"), text, allowed=allowed)
        yield replace(problem, found=f"{service.cpus:g}")


def print_sum_of_cpus(plan: Plan, info: EngineInfo | None) -> None:
    """Print that services share processors, where their limits add up to more than there are.

    No warning: services that are not in use leave theirs to the others.
    """
    if info is None or not info.cpus or plan.on_swarm:
        return
    # The gateway waits for most of the time.
    limits = {n: s.cpus for n, s in plan.local_services.items() if not isinstance(s, ChatService)}
    total = sum(limits.values())
    if len(limits) > 1 and total > info.cpus:
        each = ", ".join(f"{name} {cpus:g}" for name, cpus in limits.items())
        pulumi.log.info(
            f"the services may use {total:g} processors together ({each}), and the engine's "
            f"machine has {info.cpus}: those in use at the same time share them, and are slower"
        )
