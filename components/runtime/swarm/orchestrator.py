"""A Docker Swarm that runs services on its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi

from components.config.field_types import MEBIBYTE
from components.config.names import MONITOR
from components.config.orchestrator import SwarmSettings
from components.runtime.container import Files, HardenedContainerArgs, Volume
from components.runtime.container_options import ContainerOptions
from components.runtime.generated_secret import GeneratedSecret, GeneratedSecretArgs
from components.runtime.network import StackNetwork, StackNetworkArgs
from components.runtime.orchestrator import (
    LISTS_PORT,
    FilesArgs,
    Running,
    VolumeArgs,
    Watched,
    WatchedFilesArgs,
)
from components.runtime.swarm.files import SwarmFiles
from components.runtime.swarm.service import WATCHED, Placement, hardened_service
from components.runtime.swarm.service_gate import SwarmGate, SwarmGateArgs

LIST_SERVER = ("python3", "-m", "app.shared.list_server")
LIST_MEMORY = 64 * MEBIBYTE
LIST_START_TIMEOUT = 120
# It ends at once. The provider gives a manager as long to remove the container, or fails a destroy,
# and a manager that removes dozens of others needs more than a few seconds.
LIST_STOP_GRACE = 60


@dataclass(frozen=True)
class SwarmOrchestrator:
    """Services of the Swarm whose manager is at `host` (None: that of DOCKER_HOST)."""

    settings: SwarmSettings
    registry: pulumi.ResourceOptions | None
    """Under which the nodes may pull the images."""
    host: str | None = None
    list_image: pulumi.Input[str] = ""
    """The image of the services that have the lists: the monitor's."""

    def network(
        self,
        name: str,
        stack: str,
        subnet: IPv4Network | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> StackNetwork:
        args = StackNetworkArgs(
            stack=stack, driver="overlay", encrypted=self.settings.encrypted, subnet=subnet
        )
        return StackNetwork(name, args, opts)

    def files(self, name: str, args: FilesArgs, opts: pulumi.ResourceOptions) -> Files:
        return SwarmFiles(name, args, opts).files

    def watched_files(
        self, name: str, args: WatchedFilesArgs, opts: pulumi.ResourceOptions
    ) -> Watched:
        """A Swarm's configs cannot change. A service of their own has them, is updated in place of
        the service that reads them, and sends them to it over the stack's network."""
        kept = FilesArgs(args.stack, args.service, args.directory, args.files, secret=args.secret)
        if args.secret:
            return Watched(files=[self.files(name, kept, opts)] if args.files else [])
        running = self.run(
            name,
            HardenedContainerArgs(
                stack=args.stack,
                service=name,
                image=self.list_image,
                networks=[args.network],
                memory=LIST_MEMORY,
                cpus=0.1,
                stop_grace=LIST_STOP_GRACE,
                files=[self.files(f"{name}-config", kept, opts)],
                port=LISTS_PORT,
                # Two of it would send the new list and the old one in turn.
                recreate=True,
                options=ContainerOptions(entrypoint=LIST_SERVER),
            ),
            LIST_START_TIMEOUT,
            opts,
        )
        return Watched(written=running.gate)

    def volume(self, name: str, args: VolumeArgs, opts: pulumi.ResourceOptions) -> Volume:
        """Each node makes its own when a task needs it, and keeps it: a Swarm has no volumes."""
        return Volume(f"{args.stack}-{name}")

    def secret(self, name: str, stack: str, args: GeneratedSecretArgs) -> pulumi.Output[str]:
        """A Swarm's secrets cannot be read: after `destroy` it is another one."""
        return GeneratedSecret(f"secret-{name}", args).value

    def run(
        self,
        name: str,
        args: HardenedContainerArgs,
        start_timeout: int,
        opts: pulumi.ResourceOptions,
    ) -> Running:
        pulling = pulumi.ResourceOptions.merge(opts, self.registry)
        service, version = hardened_service(name, args, self._placement(args.service), pulling)
        gate = SwarmGate(
            f"{name}-gate",
            SwarmGateArgs(
                service_id=service.id,
                version=version,
                replicas=args.replicas or 1,
                # An update replaces one task after another, and watches the last one for a while.
                timeout=start_timeout * (args.replicas or 1) + WATCHED,
                docker_host=self.host,
                is_job=args.options.is_job,
            ),
            pulumi.ResourceOptions(parent=opts.parent),
        )
        return Running(service.name, gate.service_id, gate)

    def _placement(self, service: str) -> Placement:
        labels = self.settings.placement.get(service, {})
        constraints = [f"node.labels.{key}=={value}" for key, value in labels.items()]
        if service == MONITOR and not constraints:
            # Its history is in a volume of the node: the manager, of which there is often only one.
            constraints = ["node.role==manager"]
        spread = self.settings.spread_over
        return Placement(constraints, f"node.labels.{spread}" if spread else None)
