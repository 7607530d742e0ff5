"""The protocol of an orchestrator: one Docker engine or a Swarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Protocol

import pulumi

from components.config.named_secrets import SECRETS_DIRECTORY
from components.config.names import LISTS_SUFFIX
from components.runtime.container import Files, HardenedContainerArgs, Mount, Volume
from components.runtime.generated_secret import GeneratedSecretArgs
from components.runtime.network import StackNetwork

CONFIG_DIRECTORY = "/run/config"
# Of the files that change while their container runs, on one engine.
LISTS_DIRECTORY = "/run/lists"
# On a Swarm: of the service that has them, as in app/shared/list_server.py.
LISTS_PORT = 8090


def list_location(service: str, file: str, *, on_swarm: bool) -> str:
    """Where the program of a service reads a file of its lists: a path or a URL."""
    if on_swarm:
        return f"http://{service}{LISTS_SUFFIX}:{LISTS_PORT}/{file}"
    return f"{LISTS_DIRECTORY}/{file}"


@dataclass(frozen=True)
class FilesArgs:
    """`files` maps a name to its content; `directory` is where the container finds them."""

    stack: str
    service: str
    directory: str
    files: Mapping[str, pulumi.Input[str]]
    targets: Mapping[str, str] = field(default_factory=dict)
    """By name, for files that are not to be in the directory: the path at which each is mounted by
    itself. Either all files have one, or none."""
    secret: bool = False
    """Whether a Swarm keeps them as secrets; so it does with those in `SECRETS_DIRECTORY`."""
    executable: frozenset[str] = frozenset()

    @property
    def are_secrets(self) -> bool:
        """Whether nobody may read them in the orchestrator's own lists."""
        return self.secret or self.directory == SECRETS_DIRECTORY


@dataclass(frozen=True)
class WatchedFilesArgs:
    """Files that a program reads again while it runs; another content replaces no container."""

    stack: str
    service: str
    files: Mapping[str, pulumi.Input[str]]
    network: pulumi.Input[str]
    """The service's, by `StackNetwork.reference`."""
    directory: str = LISTS_DIRECTORY
    secret: bool = False
    identity: str | None = None
    """Another one is another volume, and so another container."""


@dataclass(frozen=True)
class Watched:
    """How a container gets such files: from mounts, or from `list_location`."""

    mounts: Sequence[Mount] = ()
    files: Sequence[Files] = ()
    """Those that are part of the container after all."""
    written: pulumi.Resource | None = None
    """What the container has to wait for."""


@dataclass(frozen=True)
class VolumeUse:
    """Who uses a volume first, and where in which image."""

    owner: str
    """`uid:gid`, or a uid alone."""
    image: pulumi.Input[str]
    path: str


@dataclass(frozen=True)
class VolumeArgs:
    """What a service keeps across its containers' lives."""

    stack: str
    service: str
    kept: bool
    """Whether it outlives the stack, and is found again by its name."""
    protect: bool = False
    use: VolumeUse | None = None
    """None leaves the volume to the user that the image names."""


@dataclass(frozen=True)
class Running:
    """What the orchestrator runs."""

    name: pulumi.Output[str]
    id: pulumi.Output[str]
    """Known once all of it is healthy."""
    gate: pulumi.Resource
    """What other resources depend on to wait for it."""


class Orchestrator(Protocol):
    """Declares what runs containers; each resource under the parent in `opts`."""

    def network(
        self,
        name: str,
        stack: str,
        subnet: IPv4Network | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> StackNetwork:
        """A network of the stack's own; without a subnet the engine chooses one."""

    def files(self, name: str, args: FilesArgs, opts: pulumi.ResourceOptions) -> Files:
        """Files that a container is given in `HardenedContainerArgs.files`."""

    def watched_files(
        self, name: str, args: WatchedFilesArgs, opts: pulumi.ResourceOptions
    ) -> Watched:
        """Files that a program reads again while it runs.

        A Swarm keeps secrets as its own, and cannot change them: they are part of the container.
        """

    def volume(self, name: str, args: VolumeArgs, opts: pulumi.ResourceOptions) -> Volume:
        """A volume for `HardenedContainerArgs.mounts`."""

    def secret(self, name: str, stack: str, args: GeneratedSecretArgs) -> pulumi.Output[str]:
        """A secret that the stack makes, the same in every update.

        One engine keeps it in a volume beside the data, so that it is the same after `destroy` too.
        """

    def run(
        self,
        name: str,
        args: HardenedContainerArgs,
        start_timeout: int,
        opts: pulumi.ResourceOptions,
    ) -> Running:
        """Run it and wait until it is healthy; a failure has its reason.

        Several replicas answer to `<service>-1`, `<service>-2` and so on.
        """
