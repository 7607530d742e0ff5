"""Whether the engine's machine can hold a service twice, as an update without a gap needs."""

from __future__ import annotations

import os
import sys

import pulumi

from .catalog import MEBIBYTE
from .docker_socket import DEFAULT_HOST, shell_host
from .engine import engine_info
from .plan import Plan
from .settings import PROJECT

# A preview waits no longer for an engine that does not answer.
ASK_SECONDS = 5
GIBIBYTE = 1024 * MEBIBYTE


def warn_of_memory(plan: Plan, docker_host: str | None) -> None:
    """Say it where an update could run out of memory; nothing where no engine can be asked.

    A Swarm looks for a node with room by itself.
    """
    memory = None if plan.on_swarm else engine_memory(docker_host)
    warning = memory_warning(plan, memory) if memory else None
    if warning:
        pulumi.log.warn(warning)


def engine_memory(docker_host: str | None) -> int | None:
    """Bytes of memory that the engine's machine has; None where it is not to be found out."""
    host = docker_host or shell_host()
    if sys.platform == "linux" and host == DEFAULT_HOST:
        # The engine's machine is this one, and need not be asked.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if host.startswith("ssh://"):
        # A connection of its own, which Docker's client leaves open where it fails.
        return None
    info = engine_info(docker_host, ASK_SECONDS)
    return int(info.get("MemTotal", 0)) or None if info else None


def memory_warning(plan: Plan, memory: int) -> str | None:
    """What to tell of a machine with so many bytes, or None where the largest service fits twice.

    Limits are counted, not use: what a container may take, it takes at the worst moment.
    """
    twice = {name: s.memory for name, s in plan.services.items() if not plan.recreates(name)}
    if not twice:
        return None
    largest = max(twice, key=lambda name: twice[name])
    limits = sum(service.memory for service in plan.services.values())
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
