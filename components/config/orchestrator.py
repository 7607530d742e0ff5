"""What runs the containers of a stack: settings `orchestrator`, `replicas` and `swarm`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from components.config.field_types import Form, Name
from components.config.problems import Key, Problem, Source, choices
from components.config.schema import CamelModel


class OrchestratorKind(StrEnum):
    """What starts containers, and restarts them."""

    DOCKER = "docker"
    """One Docker engine."""
    SWARM = "swarm"
    """The engines of a Docker Swarm."""


# What a Swarm can compare: github.com/moby/swarmkit, `manager/constraint/constraint.go`.
NodeLabel = Annotated[
    str,
    Form(
        r"[A-Za-z_][A-Za-z0-9._-]+",
        "a valid node label",
        "2 or more letters, digits and . _ -, beginning with a letter or _",
    ),
    Field(examples=["gpu"]),
]
NodeLabelValue = Annotated[
    str,
    Form(r"[A-Za-z0-9:_./-]+", "a valid label value", "letters, digits and : _ . / -"),
    Field(examples=["nvidia"]),
]
Replicas = Annotated[int, Field(ge=1, le=100)]


class SwarmSettings(CamelModel):
    """How a stack is spread over the nodes of its Swarm."""

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
    source: Source,
) -> Iterator[Problem]:
    """What keeps the stack from running on its orchestrator.

    :param placeable: what may be bound to nodes: services, the monitor, connectors.
    """
    if kind is OrchestratorKind.DOCKER:
        yield from _swarm_only_problems(replicas, swarm, source)
        return
    swarm = swarm or SwarmSettings()
    yield from not_running_problems(("replicas",), replicas, services, source)
    yield from not_running_problems(("swarm", "placement"), swarm.placement, placeable, source)
    if not registry_given and not swarm.single_node:
        yield source.problem(
            ("registry",),
            "is missing; the nodes of a Swarm pull their images from it",
            allowed="allowed: registry.server and registry.repository (docs/swarm.md), or a Swarm "
            "with one node",
            run="pulumi config set --path llm-stack:swarm.singleNode true",
        )
    for name, port in host_ports.items():
        yield source.problem(
            ("hostPorts", name),
            "a Swarm would open the port on every address of its nodes, not on 127.0.0.1 alone",
            found=port,
            allowed="allowed: none; a tunnel leads to a service",
            run=source.remove_command(("hostPorts", name)),
        )


def not_running_problems(
    key: Key, entries: Iterable[str], running: Iterable[str], source: Source
) -> Iterator[Problem]:
    """Entries under `key` for services that the stack does not run."""
    known = list(running)
    for name in entries:
        if name not in known:
            yield source.problem(
                (*key, name),
                "is not a service of this stack",
                allowed=choices(name, known),
                run=source.remove_command((*key, name)),
            )


def _swarm_only_problems(
    replicas: Mapping[str, int], swarm: SwarmSettings | None, source: Source
) -> Iterator[Problem]:
    run = "pulumi config set llm-stack:orchestrator swarm"
    for name, count in replicas.items():
        yield source.problem(
            ("replicas", name),
            "one Docker engine runs each service once",
            found=count,
            allowed="allowed: none, or a Swarm",
            run=run,
        )
    if swarm is not None:
        yield source.problem(
            ("swarm",), "is set, but the orchestrator is docker", allowed="allowed: none", run=run
        )
