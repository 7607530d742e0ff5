"""The arguments of a container: image, limits, files, network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from components.runtime.container_options import ContainerOptions

# Counted by the kernel over all processes and threads of one user on the host, not per container
# (setrlimit(2), RLIMIT_NPROC): high enough for a full stack, low enough to stop a fork bomb.
PROCESS_LIMIT = 4096
# Of one container on one engine, which leaves the others of the same user enough.
CONTAINER_PROCESS_LIMIT = 1024

# Instead of the path of a health check: a connection is enough.
TCP = "tcp"


@dataclass(frozen=True)
class Mount:
    """A volume inside a container, or a path of the engine's machine."""

    path: str
    volume: pulumi.Input[str] | None = None
    host_path: pulumi.Input[str] | None = None
    read_only: bool = True
    folder: pulumi.Input[str] | None = None
    """Where the engine has the volume's content. From there an empty volume is mounted as it is;
    otherwise the engine gives it to the owner of the image's folder at the path."""


@dataclass(frozen=True)
class Volume:
    """A volume for mounts."""

    name: pulumi.Input[str]
    folder: pulumi.Input[str] | None = None
    """As in `Mount`; None where the image decides who owns it."""


@dataclass(frozen=True)
class Files:
    """Files for a container, as mounts of an engine or as secrets and configs of a Swarm."""

    version: pulumi.Output[str]
    """Changes with every content, and does not reveal it."""
    written: pulumi.Resource | None = None
    """What the container has to wait for."""
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
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    files: Sequence[Files] = ()
    """The container is replaced when one of them changes."""
    replicas: int | None = None
    """How many of it, numbered from 1; None for one without a number."""
    port: int | None = None
    """The one that the service listens on, if any."""
    check: str | None = None
    """The path of its health check by HTTP on `port`, `tcp` for a connection; None for none. It
    decides about a container whose image has no health check."""
    host_port: int | None = None
    """A port on 127.0.0.1 that leads to `port`."""
    recreate: bool = False
    """Whether the old container goes before the new one starts, as with a host port."""
    options: ContainerOptions = field(default_factory=ContainerOptions)
    security_opts: Sequence[str] = ()
    """Beside `no-new-privileges`; see components/engine/socket.py. A Swarm's services ignore it."""
    userns_mode: str | None = None
    """`host` for the host's user namespace where the engine has others, likewise."""
    terminal: bool = False
    gpus: str | None = None
    """`all`, or how many; needs an engine with NVIDIA's runtime."""
    hostname: pulumi.Input[str] | None = None
    """What the container calls itself; by default its id."""
