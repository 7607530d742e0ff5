"""The containers, networks, volumes, images and Swarm services of an engine, as it lists them."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from components.config.compose.ports import PublishedPort
from components.engine.client import query, shell_host
from components.engine.unix_socket import get


class Kind(StrEnum):
    """What an engine has a list of."""

    CONTAINER = "container"
    NETWORK = "network"
    VOLUME = "volume"
    IMAGE = "image"
    SERVICE = "service"


@dataclass(frozen=True)
class EngineObject:
    """One entry of a list."""

    kind: Kind
    name: str
    id: str = ""
    """A volume has none."""
    labels: Mapping[str, str] | None = None
    status: str = ""
    """Of a container: `running`, `exited`, `created`, …"""
    ports: tuple[PublishedPort, ...] = ()
    """Of a container that runs."""
    image: str = ""
    """Of a container: the id of its image."""
    networks: frozenset[str] = frozenset()
    """Of a container: the names of those that it has joined."""


_REQUESTS = {
    Kind.CONTAINER: "/containers/json?all=1",
    Kind.NETWORK: "/networks",
    Kind.VOLUME: "/volumes",
    Kind.IMAGE: "/images/json?all=1",
    Kind.SERVICE: "/services",
}


def list_engine(docker_host: str | None, *, on_swarm: bool) -> tuple[EngineObject, ...] | None:
    """Everything in the lists of the engine at `docker_host` (None: that of DOCKER_HOST).

    None where it does not answer; the provider reports that error with its reason.
    """
    # The nodes of a Swarm have the images.
    kinds = [kind for kind in Kind if kind is not (Kind.IMAGE if on_swarm else Kind.SERVICE)]
    host = docker_host or shell_host()
    try:
        # Python on Windows has no such sockets.
        if host.startswith("unix://") and hasattr(socket, "AF_UNIX"):
            bodies = {k: get(host.removeprefix("unix://"), _REQUESTS[k]) for k in kinds}
            if None in bodies.values():
                return None
            answers = {kind: json.loads(body or b"null") for kind, body in bodies.items()}
        else:
            answers = query(docker_host, lambda client: _by_client(client, kinds)) or {}
    except (OSError, ValueError, http.client.HTTPException):
        return None
    if not answers:
        return None
    return tuple(one for kind, answer in answers.items() for one in read_list(kind, answer))


def _by_client(client: Any, kinds: list[Kind]) -> dict[Kind, Any]:
    calls = {
        Kind.CONTAINER: lambda: client.api.containers(all=True),
        Kind.NETWORK: client.api.networks,
        Kind.VOLUME: client.api.volumes,
        Kind.IMAGE: lambda: client.api.images(all=True),
        Kind.SERVICE: client.api.services,
    }
    return {kind: calls[kind]() for kind in kinds}


def read_list(kind: Kind, answer: Any) -> Iterator[EngineObject]:
    """Read an answer of Docker's Engine API."""
    rows = (answer or {}).get("Volumes") if kind is Kind.VOLUME and answer else answer
    for row in rows or ():
        match kind:
            case Kind.CONTAINER:
                # A container that is being removed may have no name.
                name = next(iter(row.get("Names") or ()), "").removeprefix("/")
                ports = tuple(_ports(row.get("Ports") or ()))
                status = row.get("State") or ""
                image = row.get("ImageID") or ""
                joined = frozenset((row.get("NetworkSettings") or {}).get("Networks") or ())
                yield EngineObject(
                    kind, name, row["Id"], row.get("Labels"), status, ports, image, joined
                )
            case Kind.SERVICE:
                spec = row["Spec"]
                yield EngineObject(kind, spec["Name"], row["ID"], spec.get("Labels"))
            case Kind.IMAGE:
                # One for each name; without one where only a container keeps it.
                for name in row.get("RepoTags") or ("",):
                    yield EngineObject(kind, name, row["Id"])
            case _:
                yield EngineObject(kind, row["Name"], row.get("Id") or "", row.get("Labels"))


def _ports(rows: Any) -> Iterator[PublishedPort]:
    for row in rows:
        if row.get("PublicPort"):
            address, protocol = row.get("IP") or "0.0.0.0", row.get("Type") or "tcp"
            yield PublishedPort(row["PublicPort"], row["PrivatePort"], address, protocol)
