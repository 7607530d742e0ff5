"""The restarter of a stack: the one container with the Docker socket, and one operation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi

from components.config.field_types import MEBIBYTE
from components.config.named_secrets import SECRETS_DIRECTORY
from components.config.names import LISTS_SUFFIX, RESTARTER
from components.engine.socket import DockerSocket
from components.runtime.container import HardenedContainerArgs, Mount
from components.runtime.container_options import ContainerOptions
from components.runtime.generated_secret import GeneratedSecret
from components.runtime.network import StackNetwork, StackNetworkArgs
from components.runtime.orchestrator import (
    CONFIG_DIRECTORY,
    FilesArgs,
    Orchestrator,
    WatchedFilesArgs,
    list_location,
)
from components.services.deployment import Deployment

PORT = 8070
RESTARTABLE = "restartable.json"
TOKEN_FILE = "restarter_token"
# Seconds until it must be healthy.
START_TIMEOUT = 120
# Where the program expects the socket, wherever the engine's machine has it.
SOCKET_IN_CONTAINER = "/var/run/docker.sock"


@dataclass(frozen=True)
class RestarterArgs:
    """Which services it may restart, and the socket by which it does."""

    stack: str
    services: tuple[str, ...]
    socket: DockerSocket
    image: pulumi.Input[str]
    orchestrator: Orchestrator
    subnet: IPv4Network | None = None
    """Of the network that it shares with the monitor."""


def restarter_args(socket: DockerSocket, deployment: Deployment) -> RestarterArgs:
    """The arguments for the restarter of a stack."""
    plan = deployment.plan
    return RestarterArgs(
        stack=plan.stack,
        services=plan.restartable,
        socket=socket,
        image=deployment.images[RESTARTER],
        orchestrator=deployment.orchestrator,
        subnet=plan.restarter_subnet,
    )


class Restarter(pulumi.ComponentResource):
    """Restarts containers of this stack on the monitor's request, and does nothing else.

    Only the monitor shares its network, which leads nowhere else, and only the monitor shares its
    token.
    """

    url: str
    network_name: pulumi.Output[str]
    token: pulumi.Output[str]

    def __init__(
        self, name: str, args: RestarterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:Restarter", name, None, opts)
        mine = pulumi.ResourceOptions(parent=self)
        self.url = f"http://{name}:{PORT}"
        self.token = GeneratedSecret(f"{name}-token", opts=mine).value
        network = StackNetwork(
            f"{name}-network",
            StackNetworkArgs(stack=args.stack, internal=True, subnet=args.subnet),
            mine,
        )
        self.network_name = network.network_name
        config = json.dumps(
            {
                "stack": args.stack,
                "service_list": list_location(name, RESTARTABLE, on_swarm=False),
            },
            indent=2,
        )
        watched = args.orchestrator.watched_files(
            f"{name}{LISTS_SUFFIX}",
            WatchedFilesArgs(
                args.stack,
                name,
                {RESTARTABLE: json.dumps({"services": list(args.services)}, indent=2)},
                self.network_name,
            ),
            mine,
        )
        files = [
            args.orchestrator.files(
                f"{name}-{role}", FilesArgs(args.stack, name, directory, content), mine
            )
            for role, directory, content in (
                ("config", CONFIG_DIRECTORY, {f"{name}.json": config}),
                ("secrets", SECRETS_DIRECTORY, {TOKEN_FILE: self.token}),
            )
        ]
        args.orchestrator.run(
            name,
            HardenedContainerArgs(
                stack=args.stack,
                service=name,
                image=args.image,
                networks=[self.network_name],
                memory=64 * MEBIBYTE,
                cpus=0.25,
                stop_grace=10,
                options=ContainerOptions(groups=[str(args.socket.group)]),
                security_opts=args.socket.security_opts,
                userns_mode=args.socket.userns_mode,
                mounts=[
                    Mount(host_path=args.socket.path, path=SOCKET_IN_CONTAINER),
                    *watched.mounts,
                ],
                files=files,
            ),
            START_TIMEOUT,
            opts=pulumi.ResourceOptions(parent=self, depends_on=watched.written),
        )
        self.register_outputs({"network_name": self.network_name})
