"""What a container of a service runs: image, environment, configuration files and secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

# Seconds that running answers may take when their container is replaced or stopped.
DRAIN_SECONDS = 120
# Seconds until Docker kills the container: the time to drain, and some to exit.
STOP_GRACE = DRAIN_SECONDS + 15


@dataclass(frozen=True)
class Workload:
    """The part of a service's container that depends on its kind."""

    image: str
    """Name of an image that the project builds."""
    stop_grace: int
    """Seconds between SIGTERM and SIGKILL."""
    environment: Mapping[str, str] = field(default_factory=dict)
    config_files: Mapping[str, str] = field(default_factory=dict)
    secret_files: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    model_directory: str | None = None
    """Where a volume for models is mounted; None for a service without one."""
    gpus: str | None = None


def present(files: Mapping[str, pulumi.Output[str] | None]) -> dict[str, pulumi.Output[str]]:
    """The secret files whose secret the stack has."""
    return {name: content for name, content in files.items() if content is not None}
