"""What a service may change of a container's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.config.compose.machine import Device
from components.config.compose.ports import PublishedPort

# The uid and gid that the images create; none of them needs more than its own files.
USER = "10001:10001"


@dataclass(frozen=True)
class HealthCheck:
    """An engine's health check; durations in seconds."""

    test: Sequence[str]
    """As Docker's API has it: `CMD` and words, `CMD-SHELL` and a line, or `NONE`."""
    interval: int = 30
    timeout: int = 30
    retries: int = 3
    start_period: int = 0


@dataclass(frozen=True)
class TemporaryFiles:
    """A file system in memory."""

    size: int
    """Bytes."""
    options: str
    """As Docker's HostConfig.Tmpfs has them."""
    mode: int | None = None


# Every container has it, unless its entry mounts a volume there: programs expect to write there.
TEMPORARY = "/tmp"
TEMPORARY_FILES = TemporaryFiles(64 * 1024**2, "rw,noexec,nosuid,nodev,size=64m")


@dataclass(frozen=True)
class ContainerOptions:
    """Defaults are those of the stack's own containers; each change of them is a service's."""

    user: str | None = USER
    """None for the image's own."""
    groups: Sequence[str] = ()
    """Further groups, by id or by a name of the image's."""
    read_only: bool = True
    """Whether the root file system is."""
    capabilities: Sequence[str] = ()
    entrypoint: Sequence[str] = ()
    """Instead of the image's own."""
    command: Sequence[str] = ()
    working_directory: str | None = None
    health_check: HealthCheck | None = None
    """Instead of the image's own."""
    temporary_files: Mapping[str, TemporaryFiles] = field(
        default_factory=lambda: {TEMPORARY: TEMPORARY_FILES}
    )
    """By path."""
    shared_memory: int | None = None
    """Bytes of /dev/shm; None for the engine's default."""
    ports: Sequence[PublishedPort] = ()
    devices: Sequence[Device] = ()
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    """By host name: its address."""
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By name: the soft and the hard limit."""
    labels: Mapping[str, str] = field(default_factory=dict)
    loosened: Mapping[str, str] = field(default_factory=dict)
    """By key of the catalogue: what is less strict than the default, for a label."""
    aliases: Sequence[str] = ()
    """Further names on the network."""
    init: bool = True
    restart: str = "unless-stopped"
    """Docker's policy; `no` for a job, which is to end with exit code 0."""

    @property
    def is_job(self) -> bool:
        """Whether its program ends by itself."""
        return self.restart == "no"
