"""What the Docker engine reports about itself, read once a run for every check that needs it.

Over a Unix socket the request takes some milliseconds, and needs no client to be imported.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.engine.client import query, shell_host
from components.engine.unix_socket import get

# Seconds, over SSH.
ANSWER_TIMEOUT = 20
# Seconds that a machine elsewhere may take to accept a connection.
CONNECT_TIMEOUT = 5
# How an engine names the plugins of containerd that keep its images.
SNAPSHOTTER = "io.containerd.snapshotter.v1"


@dataclass(frozen=True)
class EngineInfo:
    """The parts of `docker info` that decide what a stack can use."""

    version: str = ""
    memory: int = 0
    """Bytes of memory of the engine's machine; 0 where it is not known."""
    cpus: int = 0
    """Processors of the engine's machine; 0 where it is not known."""
    runtimes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    """Ids of devices by the Container Device Interface."""
    containerd_images: bool = False
    """Whether images are in containerd's store, as by default from Docker 29 on."""
    selinux: bool = False
    """Whether the engine confines its containers by SELinux."""
    rootless: bool = False
    """Whether the engine runs in the user namespace of a person without root's rights."""
    remapped_users: bool = False
    """Whether containers have another user namespace than the host (`userns-remap`)."""
    limits_cpus: bool = True
    """Whether the engine accepts containers with a limit on processors."""
    desktop: bool = False
    """Whether the engine is Docker Desktop's."""
    architecture: str = ""
    """Of the engine's machine, such as `x86_64`; empty where it is not known."""
    folder: str = ""
    """Where the engine keeps its data on its machine; empty where it is not known."""


def ask_engine(docker_host: str | None) -> EngineInfo | None:
    """What the engine at `docker_host` (None: that of DOCKER_HOST) reports.

    None where it does not answer; the provider reports that error with its reason.
    """
    host = docker_host or shell_host()
    try:
        # Python on Windows has no such sockets.
        if host.startswith("unix://") and hasattr(socket, "AF_UNIX"):
            answer = _object(get(host.removeprefix("unix://"), "/info"))
        elif host.startswith("ssh://"):
            answer = _over_ssh(host)
        else:
            answer = query(docker_host, lambda client: dict(client.info()), CONNECT_TIMEOUT)
    except (OSError, ValueError, http.client.HTTPException, subprocess.TimeoutExpired):
        return None
    return read_info(answer) if answer and answer.get("ServerVersion") else None


def read_info(info: Mapping[str, Any]) -> EngineInfo:
    """Read the answer to `GET /info`.

    Source of the fields: `SystemInfo` of Docker's Engine API; engines leave out what they lack.
    """
    # Each is `name=selinux`, or with more after a comma: `name=seccomp,profile=default`.
    security = {str(one).partition(",")[0] for one in info.get("SecurityOptions") or ()}
    return EngineInfo(
        version=str(info.get("ServerVersion") or ""),
        memory=int(info.get("MemTotal") or 0),
        cpus=int(info.get("NCPU") or 0),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        devices=tuple(str(device.get("ID")) for device in info.get("DiscoveredDevices") or ()),
        containerd_images=["driver-type", SNAPSHOTTER] in (info.get("DriverStatus") or ()),
        selinux="name=selinux" in security,
        rootless="name=rootless" in security,
        remapped_users="name=userns" in security,
        limits_cpus=bool(info.get("CpuCfsQuota", True)),
        desktop=str(info.get("OperatingSystem")).startswith("Docker Desktop"),
        architecture=str(info.get("Architecture") or ""),
        folder=str(info.get("DockerRootDir") or ""),
    )


def _over_ssh(host: str) -> dict[str, Any] | None:
    """By the client of Docker there, which `DOCKER_HOST=ssh://…` needs anyway.

    One connection, closed at the end. Docker's client in Python would make several, wait for
    minutes where a machine does not answer, and leave them open.
    """
    options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_TIMEOUT}"]
    done = subprocess.run(
        ["ssh", *options, "--", host, "docker info --format '{{json .}}'"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=ANSWER_TIMEOUT,
    )
    return _object(done.stdout) if done.returncode == 0 else None


def _object(text: bytes | None) -> dict[str, Any] | None:
    value = json.loads(text) if text else None
    return value if isinstance(value, dict) else None
