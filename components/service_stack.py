"""One service of the stack: its files, its model volume and its container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from .catalog import AnyService
from .container import HardenedContainerArgs, Mount, hardened_container
from .health_gate import HealthGate, HealthGateArgs
from .labels import service_label, stack_label
from .mounted_files import CONFIG_DIRECTORY, SECRETS_DIRECTORY, MountedFiles, MountedFilesArgs
from .workload import MODELS_DIRECTORY, Workload


@dataclass(frozen=True)
class ServiceStackArgs:
    """A service of the catalogue, what its program is told, and where it runs."""

    stack: str
    service: AnyService
    workload: Workload
    image: pulumi.Input[str]
    carrier_image: pulumi.Input[str]
    network: pulumi.Input[str]
    host_port: int | None
    protect: bool = False
    """Whether the model volume refuses to be deleted."""
    docker_host: str | None = None


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
            self._mounted_files("config", CONFIG_DIRECTORY, args.workload.config_files),
            self._mounted_files("secrets", SECRETS_DIRECTORY, args.workload.secret_files),
        ]
        mounted = [mounted for mounted in files if mounted]
        mounts = [mounted.mount for mounted in mounted]
        if args.workload.keeps_models:
            mounts.append(self._model_volume())
        container = hardened_container(
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
                mounts=mounts,
                files_version=_joined([mounted.version for mounted in mounted]),
                port=args.service.port,
                host_port=args.host_port,
                gpus=args.workload.gpus,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        gate = HealthGate(
            f"{name}-gate",
            HealthGateArgs(
                container_id=container.id,
                timeout=args.service.start_timeout,
                docker_host=args.docker_host,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.container_id = gate.container_id
        self.url = f"http://{name}:{args.service.port}"
        self.host_url = f"http://127.0.0.1:{args.host_port}" if args.host_port else None
        self.container_name = container.name
        self.register_outputs({"url": self.url, "container_name": self.container_name})

    def _mounted_files(
        self, role: str, directory: str, files: Mapping[str, pulumi.Input[str]]
    ) -> MountedFiles | None:
        if not files:
            return None
        return MountedFiles(
            f"{self._name}-{role}",
            MountedFilesArgs(
                stack=self._args.stack,
                service=self._name,
                carrier_image=self._args.carrier_image,
                directory=directory,
                files=files,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _model_volume(self) -> Mount:
        """Gigabytes that took an hour to fetch: kept when the stack goes, found again by name."""
        volume = docker.Volume(
            f"{self._name}-models",
            name=f"{self._args.stack}-{self._name}-models",
            labels=[
                docker.VolumeLabelArgs(**stack_label(self._args.stack)),
                docker.VolumeLabelArgs(**service_label(self._name)),
            ],
            # A changed label or option would replace the volume, and delete the models with it.
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=self._args.protect,
                retain_on_delete=True,
                ignore_changes=["labels", "driver", "driverOpts"],
            ),
        )
        return Mount(volume=volume.name, path=MODELS_DIRECTORY, read_only=False)


def _joined(versions: list[pulumi.Output[str]]) -> pulumi.Output[str] | None:
    return pulumi.Output.all(*versions).apply(",".join) if versions else None
