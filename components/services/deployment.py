"""What all parts of a stack have in common: its plan, images, network and orchestrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pulumi

from components.config.compose.machine import numeric_user
from components.config.compose.volumes import NamedVolume
from components.config.names import CARRIER, MONITOR
from components.config.orchestrator import SwarmSettings
from components.images.image import ServiceImage, image_args
from components.images.published_image import PublishedImage, PublishedImageArgs
from components.images.registry import in_registry
from components.plan.plan import Plan
from components.preflight.checks import Engine
from components.runtime.container import Volume
from components.runtime.docker.orchestrator import DockerOrchestrator
from components.runtime.generated_secret import (
    HEX,
    LETTERS_DIGITS,
    GeneratedSecretArgs,
)
from components.runtime.network import StackNetwork
from components.runtime.operation_timeout import limit_operations
from components.runtime.orchestrator import Orchestrator, VolumeArgs, VolumeUse
from components.runtime.swarm.orchestrator import SwarmOrchestrator


@dataclass(frozen=True)
class Deployment:
    """What the arguments of every component are made from."""

    plan: Plan
    engine: Engine
    images: Mapping[str, pulumi.Output[str]]
    """Of the project, by name: the reference that containers run."""
    published_images: Mapping[str, pulumi.Output[str]]
    """Of others, by the reference in the catalogue: the one that containers run."""
    orchestrator: Orchestrator
    network: StackNetwork
    secrets: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """By name in the catalogue."""
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """By name in the catalogue."""

    def image(self, service: str) -> pulumi.Output[str]:
        """What the container of a service runs."""
        workload = self.plan.workloads[service]
        images = self.published_images if workload.published else self.images
        return images[workload.image]


def begin(plan: Plan, engine: Engine) -> Deployment:
    """Declare what the services of a stack share: images, network, volumes and secrets."""
    limit_operations(plan.settings.operation_timeout)
    settings = plan.settings.registry
    registry = in_registry(settings, plan.secrets.registry_password)
    images = {
        name: ServiceImage(name, image_args(name, plan.stack, plan.settings), registry).reference
        for name in sorted(plan.images)
    }
    published = {
        reference: PublishedImage(
            reference,
            PublishedImageArgs(image, plan.on_swarm),
            registry if settings and settings.has(reference) else None,
        ).reference
        for reference, image in sorted(engine.published_images.items())
    }
    orchestrator = _orchestrator(plan, engine, images, registry)
    network = orchestrator.network("llm-network", plan.stack, plan.services_subnet)
    deployment = Deployment(
        plan, engine, images, published, orchestrator, network, _secrets(plan, orchestrator)
    )
    return replace(deployment, volumes=_volumes(deployment))


def _secrets(plan: Plan, orchestrator: Orchestrator) -> dict[str, pulumi.Output[str]]:
    """The secrets of the services: those that the stack sets, and those that it makes."""
    generated = {}
    for name, settings in plan.generated_secrets.items():
        alphabet = HEX if settings.alphabet == "hex" else LETTERS_DIGITS
        args = GeneratedSecretArgs(settings.generate, alphabet)
        generated[name] = orchestrator.secret(name, plan.stack, args)
    return {**plan.secrets.named, **generated}


def _volumes(deployment: Deployment) -> dict[str, Volume]:
    """The named volumes of the services. Each belongs to the user of the first that writes it."""
    plan = deployment.plan
    uses: dict[str, tuple[str, NamedVolume]] = {}
    for service, workload in plan.workloads.items():
        for volume in workload.volumes:
            known = uses.get(volume.name)
            if known is None or (known[1].read_only and not volume.read_only):
                uses[volume.name] = (service, volume)
    return {
        name: deployment.orchestrator.volume(
            name,
            VolumeArgs(
                stack=plan.stack,
                service=service,
                kept=True,
                protect=plan.protect,
                use=_use(volume, service, deployment),
            ),
            pulumi.ResourceOptions(),
        )
        for name, (service, volume) in sorted(uses.items())
    }


def _use(volume: NamedVolume, service: str, deployment: Deployment) -> VolumeUse | None:
    """None where the image decides who owns the volume."""
    user = numeric_user(deployment.plan.workloads[service].options.user)
    return VolumeUse(user, deployment.image(service), volume.path) if user else None


def _orchestrator(
    plan: Plan,
    engine: Engine,
    images: Mapping[str, pulumi.Output[str]],
    registry: pulumi.ResourceOptions | None,
) -> Orchestrator:
    if plan.on_swarm:
        return SwarmOrchestrator(
            plan.settings.swarm or SwarmSettings(), registry, engine.host, images[MONITOR]
        )
    return DockerOrchestrator(images[CARRIER], engine.host, images[MONITOR], engine.own_containers)
