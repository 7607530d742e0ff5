"""What a stack says of who runs its containers: settings `orchestrator`, `replicas` and `swarm`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from components.config.catalogue import Name
from components.config.schema import CamelModel, choices


class OrchestratorKind(StrEnum):
    """Who starts containers, and starts them again."""

    DOCKER = "docker"
    """One Docker engine."""
    SWARM = "swarm"
    """The engines of a Docker Swarm."""


# What a Swarm can compare: github.com/moby/swarmkit, `manager/constraint/constraint.go`.
NodeLabel = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9._-]+$", examples=["gpu"])]
NodeLabelValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9:_./-]+$", examples=["nvidia"])]
Replicas = Annotated[int, Field(ge=1, le=100)]


class SwarmSettings(CamelModel):
    """How a stack lies on the nodes of its Swarm."""

    placement: dict[Name, dict[NodeLabel, NodeLabelValue]] = Field(
        default_factory=dict, description="by service: labels that a node must have to run it"
    )
    spread_over: NodeLabel | None = Field(
        default=None, description="label of the nodes over whose values replicas are spread"
    )
    encrypted: bool = Field(
        default=True, description="whether what goes from node to node is encrypted (IPsec)"
    )
    single_node: bool = Field(
        default=False, description="whether the Swarm has one node, which needs no registry"
    )


def orchestrator_problems(
    kind: OrchestratorKind,
    replicas: Mapping[str, int],
    swarm: SwarmSettings | None,
    *,
    services: Iterable[str],
    placeable: Iterable[str],
    registry_given: bool,
    host_ports: Mapping[str, int],
) -> list[str]:
    """What keeps the stack from running where it is to run, each problem in a user's words.

    :param placeable: what may be bound to nodes: services, the monitor, connectors.
    """
    if kind is OrchestratorKind.DOCKER:
        return [*_ensure_nothing_needs_a_swarm(replicas, swarm)]
    swarm = swarm or SwarmSettings()
    return [
        *_ensure_services_run_here("replicas", replicas, services),
        *_ensure_services_run_here("swarm.placement", swarm.placement, placeable),
        *_ensure_every_node_finds_the_images(swarm, registry_given),
        *_ensure_no_port_is_open_on_every_node(host_ports),
    ]


def _ensure_nothing_needs_a_swarm(
    replicas: Mapping[str, int], swarm: SwarmSettings | None
) -> Iterator[str]:
    way_out = "run: pulumi config set llm-stack:orchestrator swarm"
    for name, count in replicas.items():
        yield (
            f"replicas.{name}: one Docker engine runs each service once; found {count}, "
            f"allowed: none; for several, {way_out}"
        )
    if swarm is not None:
        yield f"swarm: says how a stack lies on a Swarm, but orchestrator is docker; {way_out}"


def _ensure_services_run_here(
    key: str, entries: Mapping[str, object], names: Iterable[str]
) -> list[str]:
    known = list(names)
    return [
        f"{key}.{name}: this stack runs no such service; {choices(name, known)}"
        for name in entries
        if name not in known
    ]


def _ensure_every_node_finds_the_images(
    swarm: SwarmSettings, registry_given: bool
) -> Iterator[str]:
    if not registry_given and not swarm.single_node:
        yield (
            "registry: is missing; the nodes of a Swarm pull their images from one. "
            "Set registry.server and registry.repository (docs/swarm.md), or, "
            "where the Swarm has one node only, run: "
            "pulumi config set --path llm-stack:swarm.singleNode true"
        )


def _ensure_no_port_is_open_on_every_node(host_ports: Mapping[str, int]) -> list[str]:
    return [
        f"hostPorts.{name}: a Swarm would open the port on every address of its nodes, not on "
        f"127.0.0.1 alone; found {port}, allowed: none; a tunnel leads to a service"
        for name, port in host_ports.items()
    ]
