"""What a container of a service runs: image, environment, configuration files and secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.config.compose.volumes import HostPath, NamedVolume
from components.config.named_secrets import references
from components.kinds.project_files import ProjectFile
from components.runtime.container_options import ContainerOptions

# Seconds that running answers may take when their container is replaced or stopped.
DRAIN_SECONDS = 120
# Seconds until Docker kills the container: the time to drain, and some to exit.
STOP_GRACE = DRAIN_SECONDS + 15


@dataclass(frozen=True)
class Workload:
    """The part of a service's container that depends on its kind."""

    image: str
    """Name of an image that the project builds, or the reference of a published one."""
    stop_grace: int
    """Seconds between SIGTERM and SIGKILL."""
    environment: Mapping[str, str] = field(default_factory=dict)
    config_files: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    """Files that its program reads again while it runs, at `list_location`."""
    rereads_secrets: str | None = None
    """None if its secret files are part of its container. Else its program reads them again while
    it runs, and another value of this is another container."""
    secret_files: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    model_directory: str | None = None
    """Where a volume for models is mounted; None for a service without one."""
    fetches: bool = False
    """Whether a job of the same image fetches what is in that volume before it starts: then its
    own container may only read it, and gets no secret files."""
    cache_directory: str | None = None
    """Where a volume is mounted for what can be made again, but takes long."""
    usage_directory: str | None = None
    """Where a volume is mounted for the figures that it records. The image has the folder, with its
    owner, so Docker makes the volume that user's."""
    gpus: str | None = None
    published: bool = False
    """Whether `image` is the reference of a published one."""
    check: str | None = None
    """The path of the health check by HTTP, or `tcp`, where the image may have none."""
    named_secrets: Mapping[str, str] = field(default_factory=dict)
    """By path: the name of the secret that the file holds."""
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    """By variable: a text with `${NAME}` in place of a secret."""
    volumes: Sequence[NamedVolume] = ()
    host_paths: Sequence[HostPath] = ()
    project_files: Sequence[ProjectFile] = ()
    options: ContainerOptions = field(default_factory=ContainerOptions)
    wait_for: Sequence[str] = ()
    """Services that must be healthy, or jobs that must have ended, before it starts."""

    @property
    def secret_names(self) -> set[str]:
        """Of all secrets that it needs."""
        texts = self.secret_environment.values()
        return {
            *self.named_secrets.values(),
            *(name for text in texts for name in references(text)),
        }


def present(files: Mapping[str, pulumi.Output[str] | None]) -> dict[str, pulumi.Output[str]]:
    """The secret files whose secret the stack has."""
    return {name: content for name, content in files.items() if content is not None}
