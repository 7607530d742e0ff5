"""One Docker engine that runs containers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network

import pulumi
import pulumi_docker as docker

from components.config.compose.machine import UNLIMITED
from components.runtime.container import (
    CONTAINER_PROCESS_LIMIT,
    TCP,
    Files,
    HardenedContainerArgs,
    Volume,
)
from components.runtime.container_options import ContainerOptions
from components.runtime.docker.container import hardened_container
from components.runtime.docker.files import MountedFiles
from components.runtime.docker.health_gate import HealthGate, HealthGateArgs
from components.runtime.docker.kept_secrets import KeptSecret, remembered_secret
from components.runtime.docker.predecessor import Predecessor
from components.runtime.docker.volume_owner import VolumeOwner, VolumeOwnerArgs
from components.runtime.docker.watched_files import WatchedFiles
from components.runtime.generated_secret import GeneratedSecret, GeneratedSecretArgs
from components.runtime.labels import service_label, stack_label
from components.runtime.network import StackNetwork, StackNetworkArgs
from components.runtime.orchestrator import (
    FilesArgs,
    Running,
    VolumeArgs,
    Watched,
    WatchedFilesArgs,
)


@dataclass(frozen=True)
class DockerOrchestrator:
    """Containers on the engine at `host` (None: that of DOCKER_HOST)."""

    carrier_image: pulumi.Input[str]
    host: str | None = None
    asking_image: pulumi.Input[str] | None = None
    """The image from which a service without a health check is asked: the monitor's."""
    own_containers: frozenset[str] = frozenset()
    """Names of the stack's containers before the update."""

    def network(
        self,
        name: str,
        stack: str,
        subnet: IPv4Network | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> StackNetwork:
        return StackNetwork(name, StackNetworkArgs(stack=stack, subnet=subnet), opts)

    def files(self, name: str, args: FilesArgs, opts: pulumi.ResourceOptions) -> Files:
        mounted = MountedFiles(name, args, self.carrier_image, opts)
        return Files(mounted.version, mounted.written, mounted.mounts)

    def watched_files(
        self, name: str, args: WatchedFilesArgs, opts: pulumi.ResourceOptions
    ) -> Watched:
        files = WatchedFiles(name, args, self.carrier_image, self.host, opts)
        return Watched(mounts=files.mounts, written=files.written)

    def volume(self, name: str, args: VolumeArgs, opts: pulumi.ResourceOptions) -> Volume:
        # A changed label or option would replace the volume, and delete its content.
        keep = pulumi.ResourceOptions(
            protect=args.protect,
            retain_on_delete=True,
            ignore_changes=["labels", "driver", "driverOpts"],
        )
        volume = docker.Volume(
            name,
            name=f"{args.stack}-{name}" if args.kept else None,
            labels=[
                docker.VolumeLabelArgs(**stack_label(args.stack)),
                docker.VolumeLabelArgs(**service_label(args.service)),
            ],
            opts=pulumi.ResourceOptions.merge(opts, keep) if args.kept else opts,
        )
        if args.use is None:
            return Volume(volume.name)
        owner = VolumeOwnerArgs(
            args.stack, volume.name, args.use.owner, args.use.image, args.use.path, self.host
        )
        owned = VolumeOwner(f"{name}-owner", owner, opts).volume
        folder = pulumi.Output.all(volume.mountpoint, owned).apply(lambda known: str(known[0]))
        return Volume(owned, folder)

    def secret(self, name: str, stack: str, args: GeneratedSecretArgs) -> pulumi.Output[str]:
        place = (stack, self.carrier_image, self.host)
        remembered = remembered_secret(name, *place)
        made = GeneratedSecret(f"secret-{name}", replace(args, remembered=remembered))
        KeptSecret(name, made.value, *place, pulumi.ResourceOptions(parent=made))
        return made.value

    def run(
        self,
        name: str,
        args: HardenedContainerArgs,
        start_timeout: int,
        opts: pulumi.ResourceOptions,
    ) -> Running:
        """Returns the last one, where there are several."""
        if args.replicas is not None:
            *_, last = [
                self.run(
                    f"{name}-{number}",
                    replace(args, service=f"{args.service}-{number}", replicas=None),
                    start_timeout,
                    opts,
                )
                for number in range(1, args.replicas + 1)
            ]
            return last
        predecessor = (
            Predecessor(args.stack, args.service, args.stop_grace, self.own_containers, self.host)
            if args.recreate or args.host_port or args.options.ports
            else None
        )
        container = hardened_container(name, args, predecessor, opts)
        gate = HealthGate(
            f"{name}-gate",
            HealthGateArgs(
                container_id=container.id,
                timeout=start_timeout,
                docker_host=self.host,
                is_job=args.options.is_job,
                question=_question(args),
                asking_image=self.asking_image,
                process_limit=process_limit(args.options),
                predecessor=predecessor,
            ),
            pulumi.ResourceOptions(parent=opts.parent),
        )
        return Running(container.name, gate.container_id, gate)


def process_limit(options: ContainerOptions) -> int | None:
    """The limit that an entry has, or the default; None for no limit."""
    _, hard = options.ulimits.get("nproc", (0, CONTAINER_PROCESS_LIMIT))
    return None if hard == UNLIMITED else hard


def _question(args: HardenedContainerArgs) -> str | None:
    """The URL of the service's health check, with `{address}` for the container's address."""
    if args.check is None or args.port is None:
        return None
    if args.check == TCP:
        return f"tcp://{{address}}:{args.port}"
    return f"http://{{address}}:{args.port}{args.check}"
