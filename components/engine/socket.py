"""Where the engine's socket is, and what a container needs to use it: for the restarter alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.config.problems import SettingsError, Source
from components.engine.client import DEFAULT_SOCKET, shell_host
from components.engine.info import EngineInfo

# Which group ids a user may map into another namespace: `name:first:count` each, subgid(5).
SUBORDINATE_GROUPS = Path("/etc/subgid")

# SELinux lets no confined container connect to the engine. This option turns it off for one
# container, which then runs as `spc_t`. The alternative, `label=type:container_runtime_t`, is the
# engine's own domain, as unconfined as that one, and has other names in other policies. No label
# would protect the host from a program with this socket. What protects it is that the program only
# restarts containers of its stack.
NO_SELINUX_LABEL = "label=disable"
# Where the engine maps users, the group of its socket has no id inside a container. This container
# alone keeps the host's ids; its user stays 10001, without a capability.
HOST_USERS = "host"


@dataclass(frozen=True)
class DockerSocket:
    """A path on the engine's machine, and how a container gets to use it."""

    path: str
    group: int
    """Id, inside the container, of the group that owns the socket."""
    security_opts: tuple[str, ...] = ()
    userns_mode: str | None = None


def docker_socket(
    host: str | None, group: int | None, info: EngineInfo | None, source: Source
) -> DockerSocket:
    """Find the socket of the engine at `host` (None: that of DOCKER_HOST).

    The group is read from the socket itself where it is on this machine, unless the settings name
    one. Raises `SettingsError` where path or group cannot be found.
    """
    host = host or shell_host()
    info = info or EngineInfo()
    local = host.startswith("unix://")
    if info.rootless and not local:
        raise SettingsError(
            [
                source.problem(
                    ("monitor", "restarts"),
                    f"the path of the socket of a rootless engine cannot be read at {host}",
                    allowed="allowed: false",
                    run="pulumi config set --path llm-stack:monitor.restarts false",
                )
            ]
        )
    path = host.removeprefix("unix://") if local else DEFAULT_SOCKET
    if group is None:
        group = _group(path, local, info, source)
    return DockerSocket(
        path,
        group,
        security_opts=(NO_SELINUX_LABEL,) if info.selinux else (),
        userns_mode=HOST_USERS if info.remapped_users else None,
    )


def _group(path: str, local: bool, info: EngineInfo, source: Source) -> int:
    if not local or not Path(path).exists():
        raise SettingsError(
            [
                source.problem(
                    ("monitor", "socketGroup"),
                    "is missing; the group of the engine's socket cannot be read from here",
                    allowed=f"allowed: what `stat -c %g {path}` prints on the engine's machine, or "
                    "monitor.restarts: false",
                    run="pulumi config set --path llm-stack:monitor.socketGroup <id>",
                )
            ]
        )
    status = Path(path).stat()
    group = _rootless_group(status.st_uid, status.st_gid) if info.rootless else status.st_gid
    if group is None:
        raise SettingsError(
            [
                source.problem(
                    ("monitor", "socketGroup"),
                    "is missing; the group that owns the socket of a rootless engine inside its "
                    f"containers cannot be read from here (outside of them it is {status.st_gid})",
                    allowed=f"allowed: what `docker run --rm -v {path}:/s python:3.11-slim stat -c "
                    "%g /s` prints, or monitor.restarts: false",
                    run="pulumi config set --path llm-stack:monitor.socketGroup <id>",
                )
            ]
        )
    return group


def _rootless_group(owner: int, gid: int) -> int | None:
    """The id inside a rootless engine's namespace of the group `gid` of this machine."""
    # Not on Windows, where no rootless engine runs either.
    import pwd

    try:
        user = pwd.getpwuid(owner)
        text = SUBORDINATE_GROUPS.read_text(encoding="utf-8") if gid != user.pw_gid else ""
    except (KeyError, OSError):
        return None
    return group_inside(gid, user.pw_gid, subordinate_groups(text, {user.pw_name, str(owner)}))


def group_inside(gid: int, own: int, ranges: Iterable[tuple[int, int]]) -> int | None:
    """Translate a group id of the host as RootlessKit maps it; None where it is not mapped.

    The engine's user becomes root (id 0); from 1 on follow the subordinate ids, range by range. The
    socket belongs to root's group, or to the group `docker` where the machine has one.
    """
    if gid == own:
        return 0
    inside = 1
    for first, count in ranges:
        if first <= gid < first + count:
            return inside + gid - first
        inside += count
    return None


def subordinate_groups(text: str, owners: set[str]) -> Iterator[tuple[int, int]]:
    """First id and number of ids of each range that the file gives to a user, by name or id."""
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in owners and (fields[1] + fields[2]).isdecimal():
            yield int(fields[1]), int(fields[2])
