"""Where the engine's socket lies, and which group may use it: what the restarter must be given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .schema import SettingsError
from .settings import PROJECT

DEFAULT_SOCKET = "/var/run/docker.sock"
DEFAULT_HOST = f"unix://{DEFAULT_SOCKET}"


def shell_host() -> str:
    """The engine that Docker's own client talks to: what DOCKER_HOST names, else the default."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


@dataclass(frozen=True)
class DockerSocket:
    """A path on the engine's machine, and the id of the group that owns it."""

    path: str
    group: int


def docker_socket(host: str | None, group: int | None, source: str) -> DockerSocket:
    """Find the socket of the engine at `host` (None: where DOCKER_HOST says).

    The group is read from the socket itself where it is on this machine. Raises `SettingsError`
    where it is not and the settings name no group either.
    """
    host = host or shell_host()
    local = host.startswith("unix://")
    path = host.removeprefix("unix://") if local else DEFAULT_SOCKET
    if group is not None:
        return DockerSocket(path, group)
    if not local or not Path(path).exists():
        raise SettingsError(
            [
                f"{source}: {PROJECT}:monitor.socketGroup: which group owns the engine's socket "
                f"cannot be seen from here; set it to what `stat -c %g {path}` prints there, "
                f"or set {PROJECT}:monitor.restarts to false"
            ]
        )
    return DockerSocket(path, Path(path).stat().st_gid)
