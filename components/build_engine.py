"""Where images are built: the provider asks DOCKER_HOST, and runs containers where it is told."""

from __future__ import annotations

from collections.abc import Collection

from .docker_socket import shell_host
from .schema import SettingsError


def ensure_builds_reach_the_engine(
    built: Collection[str], docker_host: str | None, source: str
) -> None:
    """Raises `SettingsError` where images would be built on another engine than they run on.

    Whatever `docker:host` says, BuildKit is reached by way of the Docker client's own settings.
    """
    builder = shell_host()
    if docker_host and built and builder != docker_host:
        raise SettingsError(
            [
                f"{source}: docker:host: images would be built on another engine, as DOCKER_HOST "
                f"of this shell does not name the same; found {docker_host!r}, "
                f"run: export DOCKER_HOST={docker_host}, or say in llm-stack:imageDigests which "
                f"the registry holds of {', '.join(sorted(built))}"
            ]
        )
