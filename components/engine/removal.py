"""Removes containers, networks, volumes and Swarm services from an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from docker import DockerClient
from docker.errors import NotFound

from components.engine.client import ANSWER_TIMEOUT, docker_client
from components.engine.lists import EngineObject, Kind

DEFAULT_STOP_SECONDS = 10


def remove(objects: Iterable[EngineObject], docker_host: str | None) -> None:
    """Remove each; a container has its own time to answer what it has begun."""
    client = docker_client(docker_host)
    try:
        for one in objects:
            # Someone else may remove it meanwhile.
            with contextlib.suppress(NotFound):
                _remove(one, client)
    finally:
        client.close()


def _remove(one: EngineObject, client: DockerClient) -> None:
    match one.kind:
        case Kind.CONTAINER:
            container = client.containers.get(one.id)
            seconds = container.attrs["Config"].get("StopTimeout") or DEFAULT_STOP_SECONDS
            client.api.timeout = ANSWER_TIMEOUT + seconds
            container.stop(timeout=seconds)
            container.remove(force=True, v=True)
        case Kind.NETWORK:
            client.api.remove_network(one.id)
        case Kind.VOLUME:
            client.api.remove_volume(one.name)
        case Kind.SERVICE:
            # Docker's client has no types.
            client.api.remove_service(one.id)  # type: ignore[no-untyped-call]
        case Kind.IMAGE:
            client.api.remove_image(one.id)
