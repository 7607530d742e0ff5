"""What all parts of a stack have in common: its plan, images, network and orchestrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.config.names import CARRIER
from components.config.orchestrator import SwarmSettings
from components.images.image import ServiceImage, image_args
from components.images.registry import in_registry
from components.plan.plan import Plan
from components.preflight.checks import Engine
from components.runtime.docker.orchestrator import DockerOrchestrator
from components.runtime.network import StackNetwork
from components.runtime.operation_timeout import limit_operations
from components.runtime.orchestrator import Orchestrator
from components.runtime.swarm.orchestrator import SwarmOrchestrator


@dataclass(frozen=True)
class Deployment:
    """What the arguments of every component are made from."""

    plan: Plan
    engine: Engine
    images: Mapping[str, pulumi.Output[str]]
    """By name: the reference that containers run."""
    orchestrator: Orchestrator
    network: StackNetwork


def begin(plan: Plan, engine: Engine) -> Deployment:
    """Declare the images and the network of a stack."""
    limit_operations(plan.settings.operation_timeout)
    registry = in_registry(plan.settings.registry, plan.secrets.registry_password)
    images = {
        name: ServiceImage(name, image_args(name, plan.stack, plan.settings), registry).reference
        for name in sorted(plan.images)
    }
    orchestrator = _orchestrator(plan, engine, images, registry)
    network = orchestrator.network("llm-network", plan.stack, plan.services_subnet)
    return Deployment(plan, engine, images, orchestrator, network)


def _orchestrator(
    plan: Plan,
    engine: Engine,
    images: Mapping[str, pulumi.Output[str]],
    registry: pulumi.ResourceOptions | None,
) -> Orchestrator:
    if plan.on_swarm:
        return SwarmOrchestrator(plan.settings.swarm or SwarmSettings(), registry, engine.host)
    return DockerOrchestrator(images[CARRIER], engine.host)
