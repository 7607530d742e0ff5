"""A long-running container with the hardening that every container of the stack gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from .catalog import MEBIBYTE
from .labels import service_label, stack_label

# The uid and gid that the images create; none of them needs more than its own files.
USER = "10001:10001"
# Counted by the kernel over all processes and threads of one user on the host, not per container
# (setrlimit(2), RLIMIT_NPROC): high enough for a full stack, low enough to stop a fork bomb.
PROCESS_LIMIT = 4096


@dataclass(frozen=True)
class Mount:
    """A volume inside a container, or a path of the engine's machine."""

    path: str
    volume: pulumi.Input[str] | None = None
    host_path: str | None = None
    read_only: bool = True


@dataclass(frozen=True)
class Files:
    """Files for a container, in the form in which whoever runs it takes them."""

    version: pulumi.Output[str]
    """Another value whenever a content changes; tells nothing about the contents."""
    mounts: Sequence[Mount] = ()
    secrets: Sequence[docker.ServiceTaskSpecContainerSpecSecretArgsDict] = ()
    configs: Sequence[docker.ServiceTaskSpecContainerSpecConfigArgsDict] = ()


@dataclass(frozen=True)
class HardenedContainerArgs:
    """What differs between the containers of a stack."""

    stack: str
    service: str
    """Name of the service: its alias on the network, and its label."""
    image: pulumi.Input[str]
    networks: Sequence[pulumi.Input[str]]
    """Each by `StackNetwork.reference`."""
    memory: int
    """Bytes; swap is not granted on top."""
    cpus: float
    stop_grace: int
    """Seconds between SIGTERM and SIGKILL, long enough to finish what is being answered."""
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    files: Sequence[Files] = ()
    """A container starts anew when one of them changes."""
    replicas: int | None = None
    """How many of it, numbered from 1; None for one without a number."""
    port: int | None = None
    host_port: int | None = None
    """A port on 127.0.0.1 that leads to `port`."""
    recreate: bool = False
    """Whether the old container goes before the new one starts, as with a host port."""
    user: str = USER
    groups: Sequence[str] = ()
    """Ids of further groups."""
    security_opts: Sequence[str] = ()
    """Beside `no-new-privileges`; see components/docker_socket.py. A Swarm's services ignore it."""
    userns_mode: str | None = None
    """`host` for the host's user namespace where the engine has others, likewise."""
    entrypoint: Sequence[str] = ()
    """Instead of the image's own."""
    command: Sequence[str] = ()
    healthcheck: docker.ContainerHealthcheckArgs | None = None
    """For an image without one of its own."""
    terminal: bool = False
    gpus: str | None = None
    """`all`, or how many; needs an engine with NVIDIA's runtime."""
    hostname: pulumi.Input[str] | None = None
    """What the container calls itself; by default its id."""


def hardened_container(
    name: str, args: HardenedContainerArgs, opts: pulumi.ResourceOptions
) -> docker.Container:
    """Declare the container; nothing waits here until it is healthy.

    A container without a host port starts beside the one it replaces. With one it cannot, since two
    containers cannot hold the same port, and the old one goes first.
    """
    labels = [stack_label(args.stack), service_label(args.service)]
    if args.files:
        version = pulumi.Output.all(*(files.version for files in args.files)).apply(",".join)
        labels.append({"label": "llm-stack.files", "value": version})
    return docker.Container(
        name,
        image=args.image,
        user=args.user,
        group_adds=list(args.groups) or None,
        entrypoints=list(args.entrypoint) or None,
        command=list(args.command) or None,
        healthcheck=args.healthcheck,
        tty=args.terminal or None,
        hostname=args.hostname,
        gpus=args.gpus,
        read_only=True,
        init=True,
        restart="unless-stopped",
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true", *args.security_opts],
        userns_mode=args.userns_mode,
        memory=args.memory // MEBIBYTE,
        memory_swap=args.memory // MEBIBYTE,
        # As the engine reads it back: "1" would be a change at every preview.
        cpus=str(float(args.cpus)),
        ulimits=[
            docker.ContainerUlimitArgs(name="nproc", soft=PROCESS_LIMIT, hard=PROCESS_LIMIT),
        ],
        tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=64m"},
        log_driver="json-file",
        log_opts={"max-size": "10m", "max-file": "3"},
        envs=[f"{key}={value}" for key, value in sorted(args.environment.items())],
        labels=[docker.ContainerLabelArgs(**label) for label in labels],
        volumes=[
            docker.ContainerVolumeArgs(
                volume_name=mount.volume,
                host_path=mount.host_path,
                container_path=mount.path,
                read_only=mount.read_only,
            )
            for mount in (*(m for files in args.files for m in files.mounts), *args.mounts)
        ],
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=network, aliases=[args.service])
            for network in args.networks
        ],
        ports=[
            docker.ContainerPortArgs(internal=args.port, external=args.host_port, ip="127.0.0.1")
        ]
        if args.port and args.host_port
        else None,
        stop_timeout=args.stop_grace,
        destroy_grace_seconds=args.stop_grace,
        # The health gate waits, and tells why: see components/container_health.py.
        wait=False,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                delete_before_replace=args.recreate or args.host_port is not None,
                # The provider takes a changed health check for done without doing anything.
                replace_on_changes=["healthcheck"],
            ),
        ),
    )
