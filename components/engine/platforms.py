"""The platforms of images, from the engine's own copy or from the image's registry."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.engine.client import query, shell_host
from components.engine.unix_socket import get

_AT_ONCE = 8
# The architecture of entries that are not images, such as an attestation of provenance.
UNKNOWN = "unknown"
# As an engine names its machine's processor, and as images are named for it.
_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}
# Processors that run images for another one themselves (github.com/containerd/platforms).
_ALSO_RUNS = {"amd64": ("386",), "arm64": ("arm",)}


@dataclass(frozen=True)
class ImagePlatforms:
    """What an image was made for."""

    names: tuple[str, ...]
    """Such as `linux/amd64`."""
    chosen_by_engine: bool = False
    """Whether the engine takes one of several when it pulls, and refuses where none fits."""

    def fits(self, architecture: str) -> bool:
        """Whether an engine of that architecture runs one of them without emulation."""
        return any(f"linux/{one}" in self.names for one in runnable(architecture))


def runnable(architecture: str) -> tuple[str, ...]:
    """The architectures of images that an engine's machine runs, its own first."""
    own = _NAMES.get(architecture, architecture)
    return (own, *_ALSO_RUNS.get(own, ()))


def image_platforms(
    references: Collection[str], docker_host: str | None
) -> dict[str, ImagePlatforms]:
    """The platforms of each reference, without those that neither engine nor registry names.

    A registry is asked only for an image that the engine does not have, and would pull next.
    """
    if not references:
        return {}
    host = docker_host or shell_host()
    # Python on Windows has no such sockets.
    if host.startswith("unix://") and hasattr(socket, "AF_UNIX"):
        return _each(references, lambda one: _by_socket(host.removeprefix("unix://"), one))
    found = query(docker_host, lambda client: _each(references, lambda r: _by_client(client, r)))
    return found or {}


def _each(
    references: Collection[str], find: Callable[[str], ImagePlatforms | None]
) -> dict[str, ImagePlatforms]:
    ordered = sorted(references)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = zip(ordered, threads.map(find, ordered), strict=True)
        return {reference: one for reference, one in found if one}


def _by_socket(path: str, reference: str) -> ImagePlatforms | None:
    try:
        if held := get(path, f"/images/{reference}/json"):
            return read_image(json.loads(held))
        if reference.startswith("sha256:"):
            return None
        published = get(path, f"/distribution/{reference}/json")
        return read_distribution(json.loads(published)) if published else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def _by_client(client: Any, reference: str) -> ImagePlatforms | None:
    from docker.errors import DockerException, ImageNotFound

    try:
        try:
            return read_image(client.api.inspect_image(reference))
        except ImageNotFound:
            if reference.startswith("sha256:"):
                return None
            return read_distribution(client.api.inspect_distribution(reference))
    except (DockerException, OSError):
        return None


def read_image(answer: Mapping[str, Any]) -> ImagePlatforms | None:
    """Read the answer to `GET /images/{name}/json`."""
    names = _names([{"os": answer.get("Os"), "architecture": answer.get("Architecture")}])
    return ImagePlatforms(names) if names else None


def read_distribution(answer: Mapping[str, Any]) -> ImagePlatforms | None:
    """Read the answer to `GET /distribution/{name}/json`."""
    rows = answer.get("Platforms") or ()
    names = _names(rows)
    return ImagePlatforms(names, chosen_by_engine=len(rows) > 1) if names else None


def _names(rows: Collection[Mapping[str, Any]]) -> tuple[str, ...]:
    pairs = [(one.get("os"), one.get("architecture")) for one in rows]
    return tuple(
        dict.fromkeys(
            f"{system}/{name}" for system, name in pairs if name not in (None, "", UNKNOWN)
        )
    )
