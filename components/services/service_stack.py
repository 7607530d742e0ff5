"""One service of the stack: its files, its model volume and its container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.kinds.service import Service
from components.kinds.workload import Workload
from components.runtime.container import Files, HardenedContainerArgs, Mount
from components.runtime.orchestrator import (
    CONFIG_DIRECTORY,
    SECRETS_DIRECTORY,
    FilesArgs,
    Orchestrator,
    VolumeArgs,
)
from components.services.deployment import Deployment


@dataclass(frozen=True)
class ServiceStackArgs:
    """A service of the catalogue, what its container runs, and where."""

    stack: str
    service: Service
    workload: Workload
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    host_port: int | None
    orchestrator: Orchestrator
    replicas: int | None = None
    """None for one without a number."""
    recreate: bool = False
    """Whether an update stops the old container before it starts the new one."""
    protect: bool = False
    """Whether the model volume refuses to be deleted."""


def service_args(name: str, deployment: Deployment) -> ServiceStackArgs:
    """The arguments for one service of a stack."""
    plan = deployment.plan
    workload = plan.workloads[name]
    return ServiceStackArgs(
        stack=plan.stack,
        service=plan.services[name],
        workload=workload,
        image=deployment.images[workload.image],
        network=deployment.network.reference,
        host_port=plan.host_port(name),
        orchestrator=deployment.orchestrator,
        replicas=plan.replicas(name),
        recreate=plan.recreates(name),
        protect=plan.protect,
    )


class ServiceStack(pulumi.ComponentResource):
    """Runs one service, reached on the network under the component's own name."""

    url: str
    """Address on the stack's network."""
    host_url: str | None
    """Address on this machine, where the stack opens a port for the service."""
    container_name: pulumi.Output[str]
    container_id: pulumi.Output[str]
    """Known once the service is healthy."""

    def __init__(
        self, name: str, args: ServiceStackArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:ServiceStack", name, None, opts)
        self._name, self._args = name, args
        files = [
            *self._files("config", CONFIG_DIRECTORY, args.workload.config_files),
            *self._files("secrets", SECRETS_DIRECTORY, args.workload.secret_files),
        ]
        running = args.orchestrator.run(
            name,
            HardenedContainerArgs(
                stack=args.stack,
                service=name,
                image=args.image,
                networks=[args.network],
                memory=args.service.memory,
                cpus=args.service.cpus,
                stop_grace=args.workload.stop_grace,
                environment=args.workload.environment,
                mounts=self._model_volume(),
                files=files,
                replicas=args.replicas,
                port=args.service.port,
                host_port=args.host_port,
                recreate=args.recreate,
                gpus=args.workload.gpus,
            ),
            args.service.start_timeout,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.container_id = running.id
        self.url = f"http://{name}:{args.service.port}"
        self.host_url = f"http://127.0.0.1:{args.host_port}" if args.host_port else None
        self.container_name = running.name
        self.register_outputs({"url": self.url, "container_name": self.container_name})

    def _files(
        self, role: str, directory: str, files: Mapping[str, pulumi.Input[str]]
    ) -> list[Files]:
        if not files:
            return []
        args = FilesArgs(self._args.stack, self._name, directory, files)
        mine = pulumi.ResourceOptions(parent=self)
        return [self._args.orchestrator.files(f"{self._name}-{role}", args, mine)]

    def _model_volume(self) -> list[Mount]:
        """Gigabytes that took an hour to fetch: kept when the stack goes, found again by name."""
        if self._args.workload.model_directory is None:
            return []
        volume = self._args.orchestrator.volume(
            f"{self._name}-models",
            VolumeArgs(
                stack=self._args.stack, service=self._name, kept=True, protect=self._args.protect
            ),
            pulumi.ResourceOptions(parent=self),
        )
        return [Mount(volume=volume, path=self._args.workload.model_directory, read_only=False)]
