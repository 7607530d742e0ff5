"""What is mounted in a container: volumes, files of the project, folders of the machine, memory."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from components.config.compose.quantities import parse_size
from components.config.field_types import MEBIBYTE
from components.config.schema import refusal

TMPFS_BYTES = 64 * MEBIBYTE
_FORM = "'name:/path', './file:/path' or '/host/folder:/path[:rw]'"
_VOLUME_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_SOCKETS = ("docker.sock", "podman.sock", "containerd.sock")
# With these, or with what is in them, a container reaches the machine itself.
_SYSTEM_FOLDERS = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"),
    *("/root", "/var/run", "/var/lib/docker", "/var/lib/containerd"),
)
# Whole, these hold the system's files or everyone's.
_WHOLE_FOLDERS = ("/", "/home", "/opt", "/srv", "/var", "/var/lib")
_HARMLESS = ("/etc/localtime", "/etc/timezone")


@dataclass(frozen=True)
class NamedVolume:
    """A volume that is kept, and that several services may share."""

    name: str
    path: str
    read_only: bool = False


@dataclass(frozen=True)
class RepositoryFiles:
    """A file of the project, or all files of a folder of it."""

    source: str
    """Relative to the project."""
    path: str


@dataclass(frozen=True)
class HostPath:
    """A file or folder of the engine's machine."""

    source: str
    path: str
    read_only: bool = True


@dataclass(frozen=True)
class Tmpfs:
    """A file system in memory."""

    path: str
    size: int = TMPFS_BYTES
    """Bytes."""
    # Where the image has a folder at the path, its mode counts (runc), hence the owner.
    mode: str = "1777"
    executable: bool = False

    def options(self, owner: str | None) -> str:
        """As Docker's HostConfig.Tmpfs has them.

        :param owner: `uid:gid`, or a uid alone; None for root.
        """
        execution = "exec" if self.executable else "noexec"
        return f"rw,{execution},nosuid,nodev,size={self.size},mode={self.mode}{_owner(owner)}"


def _owner(owner: str | None) -> str:
    if owner is None:
        return ""
    uid, _, gid = owner.partition(":")
    return f",uid={uid},gid={gid or uid}"


VolumeMount = NamedVolume | RepositoryFiles | HostPath


def _volume_mount(value: Any) -> VolumeMount:
    if isinstance(value, VolumeMount):
        return value
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) not in (2, 3) or parts[2:] not in ([], ["ro"], ["rw"]):
        raise refusal("is not a valid volume", allowed=_FORM)
    source, path, mode = parts[0], _container_path(parts[1]), "".join(parts[2:])
    if source.startswith("./"):
        return _repository_files(source, path, mode)
    if source.startswith("/"):
        return _host_path(source, path, mode)
    if source.startswith(("~", "$", "..")):
        raise refusal(
            "is a path that depends on who runs Pulumi, and the engine may be elsewhere",
            allowed=_FORM,
        )
    if not _VOLUME_NAME.fullmatch(source):
        raise refusal(
            f"has {source!r} in place of a volume's name",
            allowed="1 to 63 of a-z, 0-9 and . _ - for a name, ./ before a file",
        )
    return NamedVolume(source, path, read_only=mode == "ro")


def clean_path(path: str) -> str:
    """An absolute path in its shortest form: POSIX, and so `normpath`, keeps two slashes."""
    return posixpath.normpath(f"/{path.lstrip('/')}")


def _container_path(path: str) -> str:
    clean = clean_path(path)
    if not path.startswith("/") or clean == "/" or ".." in path.split("/"):
        raise refusal(f"has {path!r} in place of a path in the container", allowed=_FORM)
    return clean


def _repository_files(source: str, path: str, mode: str) -> RepositoryFiles:
    clean = posixpath.normpath(source)
    if clean.startswith("..") or clean == ".":
        raise refusal("is not inside the project", allowed="./folder/file:/path")
    if mode == "rw":
        raise refusal(
            "is a file of the project, which no container writes",
            allowed="a named volume for what is written: name:/path",
        )
    return RepositoryFiles(clean, path)


def _host_path(source: str, path: str, mode: str) -> HostPath:
    clean = clean_path(source)
    if ".." in source.split("/"):
        raise refusal("has .. in its path", allowed="the path itself")
    if error := _host_path_error(clean):
        raise error
    return HostPath(clean, path, read_only=mode != "rw")


def _host_path_error(path: str) -> PydanticCustomError | None:
    if posixpath.basename(path) in _SOCKETS:
        return refusal(
            "gives control of the machine: who can use the engine's socket is root there",
            allowed="none; the monitor restarts what is unhealthy, and Pulumi starts containers",
        )
    if path == "/dev/shm":
        return refusal("is the machine's shared memory", allowed="shm_size: 1g for its own")
    inside = any(path == one or path.startswith(f"{one}/") for one in _SYSTEM_FOLDERS)
    if path in _WHOLE_FOLDERS or (inside and path not in _HARMLESS):
        return refusal(
            "is a system folder of the machine",
            allowed="a folder for this purpose, such as /srv/models; devices: for devices",
        )
    return None


def _tmpfs(value: Any) -> Tmpfs:
    if isinstance(value, Tmpfs):
        return value
    if not isinstance(value, str):
        raise refusal("is not a valid tmpfs", allowed="'/path' or '/path:size=64m'")
    path, _, options = value.partition(":")
    size, mode, executable = TMPFS_BYTES, "1777", False
    for option in filter(None, options.split(",")):
        name, _, text = option.partition("=")
        match name:
            case "size":
                size = parse_size(text)
            case "mode" if re.fullmatch(r"0?[0-7]{3,4}", text):
                mode = text
            case "exec":
                executable = True
            # What Docker sets anyway; a file system in memory that anyone may write needs no owner.
            case "rw" | "noexec" | "nosuid" | "nodev" | "uid" | "gid":
                pass
            case _:
                raise refusal(
                    f"has the option {option!r}", allowed="size=64m, mode=1777, exec, rw, noexec"
                )
    return Tmpfs(_container_path(path), size, mode, executable)


def _tmpfs_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


VolumeEntry = Annotated[
    VolumeMount, BeforeValidator(_volume_mount), WithJsonSchema({"type": "string"})
]
TmpfsEntry = Annotated[Tmpfs, BeforeValidator(_tmpfs), WithJsonSchema({"type": "string"})]
TmpfsList = Annotated[tuple[TmpfsEntry, ...], BeforeValidator(_tmpfs_list)]
