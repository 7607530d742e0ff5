"""A container that is never started, through which files enter or leave a volume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


@contextmanager
def carrier(client: DockerClient, image: str, volume: str, path: str) -> Iterator[Container]:
    """Create it with the volume at the path, and remove it at the end; the volume stays."""
    container = client.containers.create(
        image,
        # An image without a command could not be created otherwise.
        command=["never-started"],
        network_mode="none",
        volumes={volume: {"bind": path, "mode": "rw"}},
    )
    try:
        yield container
    finally:
        container.remove(v=False, force=True)
