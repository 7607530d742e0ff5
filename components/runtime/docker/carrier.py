"""A container that is never started, through which files enter or leave a volume."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from components.runtime.labels import temporary_labels

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


@contextmanager
def carrier(
    client: DockerClient, stack: str, image: str, volume: str, path: str
) -> Iterator[Container]:
    """Create it with the volume at the path, and remove it at the end; the volume stays."""
    container = client.containers.create(
        image,
        name=f"{stack}-carrier-{secrets.token_hex(4)}",
        labels=temporary_labels(stack, volume),
        # An image without a command could not be created otherwise.
        command=["never-started"],
        network_mode="none",
        volumes={volume: {"bind": path, "mode": "rw"}},
    )
    try:
        yield container
    finally:
        # Not the volume, which has a name, but those without one that the image asks for.
        container.remove(v=True, force=True)
