"""Checks the plan against the engine that will run it, before any resource is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pulumi

from components.config.problems import Problem, SettingsError, ensure_none
from components.engine.build_engine import build_host_problems, image_store_problems
from components.engine.info import EngineInfo, ask_engine
from components.engine.lists import list_engine
from components.engine.socket import DockerSocket, docker_socket
from components.images.kept_versions import pin_problems
from components.images.published_image import FoundImage
from components.images.registry import login_problems
from components.plan.plan import Plan
from components.preflight.architecture import architecture_problems
from components.preflight.cpu_limits import (
    cpu_limit_problems,
    cpus_problems,
    print_sum_of_cpus,
)
from components.preflight.gone import repair_gone
from components.preflight.gpu import gpu_problems
from components.preflight.host_paths import host_path_problems
from components.preflight.host_ports import host_port_problems, is_local
from components.preflight.image_names import restore_image_names
from components.preflight.memory import memory_problems, warn_of_memory
from components.preflight.notices import print_notices
from components.preflight.orphans import handle_orphans, importable_containers, own_containers
from components.preflight.published_images import published_images
from components.preflight.renamed import rename_problems
from components.preflight.state import StateReader


@dataclass(frozen=True)
class Engine:
    """The engine of a stack."""

    host: str | None
    """None for the one that DOCKER_HOST names."""
    restarter_socket: DockerSocket | None
    """None where the stack has no restarter."""
    published_images: Mapping[str, FoundImage] = field(default_factory=dict)
    """By the reference in the catalogue."""
    own_containers: frozenset[str] = frozenset()
    """Names of the stack's containers before the update."""


def check_engine(plan: Plan) -> Engine:
    """Check that the engine can run the plan; warns of what only may go wrong.

    Raises `SettingsError` with every problem found.
    """
    reader = StateReader(plan.stack)
    host = pulumi.Config("docker").get("host")
    info = ask_engine(host)
    problems = [*_engine_problems(plan, host, info)]
    try:
        socket = _restarter_socket(plan, host, info)
    except SettingsError as error:
        problems += error.problems
        socket = None
    images, missing = published_images(plan, host)
    state, listed = reader.result(), list_engine(host, on_swarm=plan.on_swarm)
    own = own_containers(plan.stack, state, listed or ())
    replaceable = own or importable_containers(plan.stack, state, listed or ())
    local = is_local(host, info)
    ports = host_port_problems(plan, listed or (), replaceable, listed is not None and local)
    ensure_none(
        [
            *problems,
            *missing,
            *architecture_problems(plan, images, host, info, local),
            *ports,
            *host_path_problems(plan, info, local),
            *rename_problems(plan.stack, state),
        ]
    )
    handle_orphans(plan.stack, state, listed, host)
    restore_image_names(state, listed, host)
    repair_gone(plan.stack, state, listed)
    warn_of_memory(plan, info)
    print_sum_of_cpus(plan, info)
    print_notices(plan)
    return Engine(host, socket, images, own)


def _engine_problems(plan: Plan, host: str | None, info: EngineInfo | None) -> Iterator[Problem]:
    settings, source = plan.settings, plan.source
    built = plan.images - settings.image_digests.keys()
    yield from gpu_problems(plan, info)
    yield from build_host_problems(built, host, source)
    yield from image_store_problems(built, info)
    yield from cpu_limit_problems(plan, info)
    yield from cpus_problems(plan, info)
    yield from memory_problems(plan, info)
    if settings.registry is None:
        yield from pin_problems(settings.image_digests, host, source)
    else:
        yield from login_problems(settings.registry, source)


def _restarter_socket(plan: Plan, host: str | None, info: EngineInfo | None) -> DockerSocket | None:
    if not plan.restarts:
        return None
    return docker_socket(host, plan.settings.monitor.socket_group, info, plan.source)
