"""`volumes`, `tmpfs` and `configs`: named volumes, files of the project, paths of the machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from toolchain.compose.forms import Mount
from toolchain.compose.interpolation import Variables
from toolchain.compose.names import FreeNames, name_of
from toolchain.compose.outcome import CopiedFile, Outcome
from toolchain.compose.secret_signs import is_secret_name, is_secret_value
from toolchain.compose.sizes import tmpfs_size
from toolchain.compose.yaml_file import Section
from toolchain.terminal.processes import capture

MOST_FILES = 64
# A file with one long word is a key.
SHORTEST_SECRET = 12
MOST_BYTES = 500_000
# With these, or with what is in them, a container reaches the machine itself; as in
# components/config/compose/volumes.py.
_REFUSED = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/var/run", "/var/lib/docker", "/var/lib/containerd",
)  # fmt: skip
_REFUSED_WHOLE = ("/", "/home", "/opt", "/root", "/srv", "/var", "/var/lib")
_SOCKETS = ("docker.sock", "podman.sock", "containerd.sock")
_CONFIGURATION = re.compile(
    r"conf|config|configs|cfg|settings|init|initdb|scripts?|provisioning|dashboards?|rules"
    r"|templates?|presets?|certs?|entrypoint|prompts?|workflows?|src|app|plugins?|functions",
    re.IGNORECASE,
)
_CONFIGURATION_TARGET = re.compile(r"/etc(/|$)|/docker-entrypoint|conf|provisioning|/init")
_EXTENSION = re.compile(r"[^/]\.[A-Za-z][A-Za-z0-9]{0,9}$")
# Folder names that do not identify their service.
_GENERAL = {
    name: name
    for name in (
        "data", "db", "storage", "logs", "log", "cache", "files", "uploads", "images", "tmp",
        "backup", "backups", "shared", "state", "output", "outputs", "input", "workspace",
        "database",
    )
} | {"models": "model-files"}  # fmt: skip
_HARMLESS = {"/etc/localtime", "/etc/timezone"}


@dataclass
class MountRules:
    """Puts the mounts of services into their entries."""

    variables: Variables
    project: str
    volumes: FreeNames
    definitions: Mapping[str, Any]
    """`volumes` at the top of the compose files."""
    configs: Mapping[str, Any]
    folder: Path
    """The compose project's own."""

    def __post_init__(self) -> None:
        self._named: dict[str, str] = {}

    def apply(self, service: Section, outcome: Outcome) -> None:
        """Put `volumes` and `tmpfs` into the entry."""
        found: list[str] = []
        tmpfs = [text for one in service.get("tmpfs") or [] if (text := _tmpfs(one, outcome))]
        for mount in service.get("volumes") or []:
            if mount.kind == "tmpfs":
                size = f":size={tmpfs_size(mount.size)}" if mount.size else ""
                tmpfs.append(f"{mount.target}{size}")
            elif text := self._mount(mount, outcome):
                found.append(text)
        found += self._configs(service, outcome)
        if found:
            outcome.entry["volumes"] = found
        if tmpfs:
            outcome.carry("tmpfs", tmpfs)

    def _mount(self, mount: Mount, outcome: Outcome) -> str | None:
        key = f"volumes {mount.target}"
        if mount.kind not in {"volume", "bind"}:
            outcome.lose(key, f"type {mount.kind}", "use a named volume")
            return None
        if mount.kind == "bind" and mount.source:
            return self._bind(mount, outcome, key)
        if mount.source is None:
            name = self._volume(
                f"{name_of(outcome.original)}-{PurePosixPath(mount.target).name or 'data'}"
            )
            outcome.change(key, f"a volume without a name is now {name}")
            return f"{name}:{mount.target}"
        definition = self.definitions.get(mount.source)
        if isinstance(definition, Section) and (device := _bound_device(definition)):
            bound = Mount("bind", mount.target, device, mount.read_only, folder=self.folder)
            return self._bind(bound, outcome, key)
        name = self._volume(mount.source)
        if isinstance(definition, Section) and definition.get("external"):
            given = str(definition.get("name") or mount.source)
            outcome.todo.append(_copy_data(f"the volume {given}", given, name))
        if name == mount.source:
            outcome.carried.append(key)
        else:
            outcome.change(key, f"the volume {mount.source} is now {name}")
        return f"{name}:{mount.target}{':ro' if mount.read_only else ''}"

    def _volume(self, source: str) -> str:
        """The name of a volume, the same for all services that use it."""
        if source not in self._named:
            self._named[source] = self.volumes.take(source)
        return self._named[source]

    def _volume_of(self, path: Path, outcome: Outcome) -> str:
        """The name of the volume in place of a folder: its own, unless many are called so."""
        source = str(path)
        if source not in self._named:
            name = name_of(path.name)
            if name in _GENERAL:
                name = f"{name_of(outcome.original)}-{_GENERAL[name]}"
            self._named[source] = self.volumes.take(name)
        return self._named[source]

    def _bind(self, mount: Mount, outcome: Outcome, key: str) -> str | None:
        assert mount.source is not None
        if mount.source.startswith("~") or not mount.source.startswith(("/", ".")):
            return self._from_home_or_folder(mount, outcome, key)
        if mount.source.startswith("/"):
            return self._host_path(mount.source, mount, outcome, key)
        return self._relative(mount, outcome, key)

    def _from_home_or_folder(self, mount: Mount, outcome: Outcome, key: str) -> str | None:
        source = mount.source or ""
        if not source.startswith("~"):
            return self._relative(mount, outcome, key)
        home = self.variables.values.get("HOME") or str(Path.home())
        path = re.sub(r"^~", home, source)
        return self._host_path(path, mount, outcome, key)

    def _host_path(self, path: str, mount: Mount, outcome: Outcome, key: str) -> str | None:
        path = str(PurePosixPath(path))
        if path.endswith(_SOCKETS):
            outcome.refuse(
                key,
                f"{path} gives control of the machine to whatever runs in the container",
                "the stack's monitor watches and restarts services; run other tools of this kind "
                "outside the stack",
            )
            return None
        if path in _HARMLESS:
            outcome.carried.append(key)
            return f"{path}:{mount.target}"
        if path.startswith("/root/"):
            name = self._volume_of(Path(path), outcome)
            outcome.change(key, f"{path} is root's own: now the volume {name}")
            outcome.todo.append(_copy_data(path, path, name))
            return f"{name}:{mount.target}"
        if path == "/dev/shm":
            outcome.entry.setdefault("shm_size", "1g")
            outcome.change(key, "the machine's shared memory is now shm_size: 1g")
            return None
        if path.startswith("/dev/"):
            outcome.lose(key, f"{path} is a device", f"use devices: [{path}]")
            return None
        if self._is_inside(path):
            return self._relative(
                replace(mount, source=f"./{self._inner(path)}", folder=self.folder), outcome, key
            )
        if path in _REFUSED_WHOLE or any(
            path == root or path.startswith(f"{root}/") for root in _REFUSED
        ):
            outcome.refuse(
                key,
                f"{path} belongs to the system of the machine",
                "run this service outside the stack, or copy what it needs to catalog/ or a volume",
            )
            return None
        if mount.read_only:
            outcome.carried.append(key)
            return f"{path}:{mount.target}"
        outcome.change(key, f"{path}:rw: the service may write there (loosened); remove :rw if not")
        return f"{path}:{mount.target}:rw"

    def _is_inside(self, path: str) -> bool:
        return Path(path) != self.folder and Path(path).is_relative_to(self.folder)

    def _inner(self, path: str) -> str:
        return Path(path).relative_to(self.folder).as_posix()

    def _relative(self, mount: Mount, outcome: Outcome, key: str) -> str | None:
        source = mount.source or ""
        path = Path(re.sub(r"/+$", "", str(mount.folder / source)))
        if path.is_file() or (not path.is_dir() and _EXTENSION.search(source)):
            return self._file(path, mount, outcome, key)
        if self._holds_configuration(path, mount):
            return self._file(path, mount, outcome, key)
        name = self._volume_of(path, outcome)
        outcome.change(key, f"the folder {source} is now the volume {name}")
        if path.is_dir() and any(path.iterdir()):
            outcome.todo.append(_copy_data(source, str(path), name))
        return f"{name}:{mount.target}"

    def _holds_configuration(self, path: Path, mount: Mount) -> bool:
        """Whether a folder is read only, and small text as far as it exists."""
        wanted = mount.read_only or bool(
            _CONFIGURATION.fullmatch(path.name) or _CONFIGURATION_TARGET.search(mount.target)
        )
        if not path.is_dir():
            return wanted and mount.read_only
        return bool(text_files(path)) and (wanted or _is_in_git(path))

    def _file(self, path: Path, mount: Mount, outcome: Outcome, key: str) -> str:
        source = re.sub(r"^(\./)+|/+$", "", mount.source or "")
        inner = "/".join(part for part in PurePosixPath(source).parts if part not in {"..", "."})
        target = f"catalog/{self.project}/{inner or path.name}"
        if not mount.read_only:
            outcome.change(key, "read-only: files of the repository cannot be written to")
        else:
            outcome.carried.append(key)
        if not path.exists():
            outcome.todo.append(f"{mount.source} does not exist: create {target}")
        elif reason := unfit(path):
            outcome.todo.append(f"{mount.source} is not copied: {reason}; create {target}")
        else:
            outcome.files.append(CopiedFile(path, target))
        return f"./{target}:{mount.target}"

    def _configs(self, service: Section, outcome: Outcome) -> list[str]:
        """Compose's `configs`: files, or texts of the compose file itself."""
        found = []
        for target, name in (service.get("configs") or {}).items():
            path = target if target.startswith("/") else f"/{target}"
            definition = self.configs.get(name)
            given = definition if isinstance(definition, Section) else {}
            content = given.get("content")
            if isinstance(file := given.get("file"), str):
                source = self.variables.plain(file)
                mount = Mount("bind", path, source, read_only=True, folder=self.folder)
                found.append(self._file(self.folder / source, mount, outcome, f"configs {name}"))
            elif isinstance(content, str) and not self._has_secret(content):
                copy = f"catalog/{self.project}/{name}"
                text = self.variables.plain(content)
                outcome.files.append(CopiedFile(Path(name), copy, text))
                outcome.change(f"configs {name}", f"its content is now the file {copy}")
                found.append(f"./{copy}:{path}")
            else:
                reason = "it holds a secret" if content else "it has no file and no content"
                outcome.lose(f"configs {name}", reason, f"use secrets: {{NAME: {path}}}")
        return found

    def _has_secret(self, content: str) -> bool:
        names = [reference.name for reference in self.variables.references(content)]
        return holds_secret(self.variables.plain(content)) or any(map(is_secret_name, names))


def text_files(folder: Path) -> list[Path]:
    """The files of a folder of few and small texts; empty for any other folder."""
    found: list[Path] = []
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        size += path.stat().st_size
        found.append(path)
        if len(found) > MOST_FILES or size > MOST_BYTES or not _is_text(path):
            return []
    return found


def unfit(path: Path) -> str | None:
    """Why a file or folder cannot be copied to catalog/; None if it can."""
    files = [path] if path.is_file() else text_files(path)
    if not files or path.is_symlink():
        return f"allowed: text, {MOST_FILES} files of {MOST_BYTES // 1000} KB in all"
    for file in files:
        if file.stat().st_size > MOST_BYTES or not _is_text(file):
            return f"it is not a text file of at most {MOST_BYTES // 1000} KB"
        if is_secret_name(file.stem) or holds_secret(file.read_text(encoding="utf-8")):
            return "it looks like it holds a secret; use secrets or secret_environment"
    return None


def holds_secret(text: str) -> bool:
    """Whether a text of a file has something that looks like a secret."""
    words = text.split()
    if is_secret_value(text) or (len(words) == 1 and len(words[0]) >= SHORTEST_SECRET):
        return True
    pairs = re.findall(r"(?m)^[\s\"']*([A-Za-z][\w.-]*)[\"']?\s*[:=]\s*[\"']?([^\s\"',#]+)", text)
    return any(
        is_secret_name(name)
        and len(value) > 5
        and not re.match(r"\$|os\.environ|\{\{|<", value)
        and value.lower() not in {"true", "false", "none"}
        and "/" not in value[:1]
        for name, value in pairs
    )


def _is_in_git(folder: Path) -> bool:
    """Whether the folder came with the compose file, and is not what services wrote."""
    listed = capture(["git", "-C", folder, "ls-files", "--cached", "."])
    kept = [name for name in listed.out.splitlines() if not name.rpartition("/")[2].startswith(".")]
    return listed.ok and bool(kept)


def _is_text(path: Path) -> bool:
    try:
        data = path.read_bytes()
        return b"\0" not in data and data.decode("utf-8") is not None
    except (OSError, UnicodeDecodeError):
        return False


def _tmpfs(text: str, outcome: Outcome) -> str | None:
    path, _, options = text.partition(":")
    if not path.startswith("/"):
        outcome.lose("tmpfs", "its path is not absolute", "write an absolute path")
        return None
    kept = []
    for option in options.split(","):
        name, _, text = option.partition("=")
        if name == "size":
            kept.append(f"size={tmpfs_size(text)}")
        elif option == "exec" or (name == "mode" and re.fullmatch(r"0?[0-7]{3,4}", text)):
            kept.append(option)
    return f"{path}:{','.join(kept)}" if kept else path


def _bound_device(definition: Section) -> str | None:
    options = definition.get("driver_opts")
    if isinstance(options, Section) and "bind" in str(options.get("o") or ""):
        return str(options.get("device") or "") or None
    return None


def _copy_data(what: str, source: str, volume: str) -> str:
    return (
        f"to keep the data in {what}, after the first pulumi up and with the service stopped "
        "(STACK is the stack's name):\n"
        f"docker run --rm -v {shlex.quote(f'{source}:/from:ro')} -v STACK-{volume}:/to alpine "
        "cp -a /from/. /to"
    )
