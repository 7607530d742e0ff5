"""The short and long forms of a service's keys, as one form that merges."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolchain.compose.interpolation import Variables
from toolchain.compose.problems import Place, problem, type_name
from toolchain.compose.yaml_file import Override, Reset, Section

MOST_PORTS_OF_A_RANGE = 100
_PORT = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:.]+\]|[0-9]+(?:\.[0-9]+){3}):)?(?:(?P<host>[0-9]*(?:-[0-9]+)?):)?"
    r"(?P<container>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>tcp|udp|sctp))?"
)


@dataclass(frozen=True)
class Port:
    """A port of a container, and the one of the machine that leads to it."""

    container: int
    host: int | None = None
    """None for any free port."""
    address: str | None = None
    protocol: str = "tcp"


@dataclass(frozen=True)
class Mount:
    """Something at a path of a container."""

    kind: str
    """`volume`, `bind`, `tmpfs`, or another of Compose's types."""
    target: str
    source: str | None = None
    read_only: bool = False
    size: str | None = None
    """Of a tmpfs."""
    folder: Path = Path()
    """Where a relative source begins."""


@dataclass
class Forms:
    """Reads the values of one service, and collects problems."""

    variables: Variables
    problems: list[str] = field(default_factory=list)
    folder: Path = Path()
    """Where relative paths begin."""
    place: Place = field(default_factory=lambda: Place("?"))
    path: str = ""

    def wrong(self, value: object, allowed: str) -> None:
        self.problems.append(
            problem(
                self.place, self.path, "has a wrong form", found=type_name(value), allowed=allowed
            )
        )

    def service(self, name: str, value: object, place: Place) -> Section:
        """A service with every key in its one form."""
        result = Section(place)
        self.place, self.path = place, f"services.{name}"
        if isinstance(value, Override):
            value = value.value
        if not isinstance(value, Section):
            self.wrong(value, "a mapping with image: or build:")
            return result
        for key, inner in value.items():
            self.place, self.path = value.place_of(key), f"services.{name}.{key}"
            result.put(key, self._read(key, inner), self.place)
        return result

    def _read(self, key: str, value: object) -> object:
        reader: Callable[[Forms, Any], Any] = _READERS.get(key, Forms.plain)
        if isinstance(value, Reset):
            return value
        if isinstance(value, Override):
            return Override(reader(self, value.value))
        if value is None and key not in {"command", "entrypoint"}:
            return None
        return reader(self, value)

    def plain(self, value: object) -> Any:
        """The value with variables replaced by their values."""
        if isinstance(value, str):
            return self.variables.plain(value)
        if isinstance(value, Section):
            copy = Section(value.place)
            for key, inner in value.items():
                copy.put(key, self.plain(inner), value.place_of(key))
            return copy
        if isinstance(value, list):
            return [self.plain(inner) for inner in value]
        if isinstance(value, Override):
            return Override(self.plain(value.value))
        return value

    def text(self, value: object) -> str:
        """A scalar as plain text."""
        if isinstance(value, dict | list) or value is None:
            self.wrong(value, "text")
            return ""
        return self.variables.plain(scalar(value))

    def texts(self, value: object) -> list[str]:
        """A list of texts, or one text, as plain texts."""
        values = value if isinstance(value, list) else [value]
        return [self.text(one) for one in values]

    def words(self, value: object) -> str | list[str] | None:
        """`command` or `entrypoint`, with variables."""
        if isinstance(value, list):
            return [scalar(one) for one in value if self._is_scalar(one)]
        if isinstance(value, dict):
            self.wrong(value, "text, or a list")
            return None
        return None if value is None else scalar(value)

    def environment(self, value: object) -> dict[str, str | None]:
        """A map, or a list of KEY=VALUE; None for what the shell passes on."""
        found: dict[str, str | None] = {}
        if isinstance(value, Section):
            for key, inner in value.items():
                self.place = value.place_of(key)
                if inner is None:
                    found[key] = None
                elif self._is_scalar(inner):
                    found[key] = scalar(inner)
        elif isinstance(value, list):
            for one in value:
                if self._is_scalar(one):
                    key, equals, text = scalar(one).partition("=")
                    found[self.variables.plain(key).strip()] = text if equals else None
        else:
            self.wrong(value, "a mapping, or a list of NAME=value")
        return found

    def labels(self, value: object) -> dict[str, str]:
        return {
            key: self.variables.plain(text or "") for key, text in self.environment(value).items()
        }

    def hosts(self, value: object) -> dict[str, str]:
        """`extra_hosts`: a map, or a list of NAME:ADDRESS or NAME=ADDRESS."""
        if isinstance(value, Section):
            return {key: self.text(inner) for key, inner in value.items()}
        found = {}
        for text in self.texts(value):
            name, _, address = text.partition("=" if "=" in text else ":")
            found[name.strip()] = address.strip()
        return found

    def depends_on(self, value: object) -> dict[str, dict[str, Any]]:
        if isinstance(value, Section):
            return {
                name: dict(self.plain(inner)) if isinstance(inner, Section) else {}
                for name, inner in value.items()
            }
        return {name: {"condition": "service_started"} for name in self.texts(value)}

    def names(self, value: object) -> dict[str, Any]:
        """`networks`: a list of names, or a map."""
        if isinstance(value, Section):
            return dict(self.plain(value))
        return dict.fromkeys(self.texts(value))

    def mapping(self, value: object) -> Any:
        if not isinstance(value, Section):
            self.wrong(value, "a mapping")
            return Section(self.place)
        return self.plain(value)

    def mapping_with_variables(self, value: object) -> Any:
        if not isinstance(value, Section):
            self.wrong(value, "a mapping")
            return Section(self.place)
        return value

    def build(self, value: object) -> Any:
        section = Section(self.place)
        given = self.plain(value) if isinstance(value, Section) else {"context": self.text(value)}
        context = str(given.get("context") or ".")
        section.put("context", str(self.folder / context), self.place)
        section.put("dockerfile", str(given.get("dockerfile") or "Dockerfile"), self.place)
        for key in sorted({*given} - {"context", "dockerfile"}):
            section.put(key, given[key], self.place)
        return section

    def entries(self, value: object) -> list[Any]:
        """A list of texts and mappings."""
        if not isinstance(value, list):
            self.wrong(value, "a list")
            return []
        return [self.plain(one) for one in value if one is not None]

    def sources(self, value: object) -> dict[str, str]:
        """`secrets` or `configs`: by target, the name at the top of the file."""
        found: dict[str, str] = {}
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Section):
                source = self.text(one.get("source"))
                found[self.text(one.get("target") or source)] = source
            else:
                name = self.text(one)
                found[name] = name
        return found

    def env_files(self, value: object) -> list[tuple[str, bool]]:
        """The path of each file, and whether it is required."""
        found = []
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Section):
                found.append((self.text(one.get("path")), one.get("required") is not False))
            else:
                found.append((self.text(one), True))
        return found

    def ports(self, value: object) -> list[Port]:
        ports: list[Port] = []
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Section):
                ports.extend(self._long_port(one))
            else:
                ports.extend(self._short_port(self.text(one)))
        return ports

    def _short_port(self, text: str) -> list[Port]:
        match = _PORT.fullmatch(text)
        container = _range(match["container"]) if match else []
        host = _range(match["host"]) if match and match["host"] else []
        if match is None or not container or (host and len(host) not in {1, len(container)}):
            self.wrong(text, "8080:80, 127.0.0.1:8080:80, 8080-8081:80-81, 53:53/udp")
            return []
        address = match["address"].strip("[]") if match["address"] else None
        protocol = match["protocol"] or "tcp"
        return [
            Port(port, host[at] if at < len(host) else None, address, protocol)
            for at, port in enumerate(container)
        ]

    def _long_port(self, value: Section) -> list[Port]:
        address = value.get("host_ip")
        published = value.get("published")
        text = ":".join(
            (
                *([f"[{self.text(address)}]"] if address else []),
                *([self.text(published)] if published not in (None, "") else []),
                f"{self.text(value.get('target'))}/{value.get('protocol') or 'tcp'}",
            )
        )
        return self._short_port(text)

    def volumes(self, value: object) -> list[Mount]:
        if not isinstance(value, list):
            self.wrong(value, "a list")
            return []
        mounts = [
            self._long_volume(one) if isinstance(one, Section) else _short_volume(self.text(one))
            for one in value
        ]
        if not all(mount.target.startswith("/") for mount in mounts):
            self.wrong("", "name:/path, ./file:/path, /host:/path:ro")
        return [
            replace(mount, folder=self.folder) for mount in mounts if mount.target.startswith("/")
        ]

    def _long_volume(self, value: Section) -> Mount:
        tmpfs = value.get("tmpfs")
        size = tmpfs.get("size") if isinstance(tmpfs, Section) else None
        source = value.get("source")
        return Mount(
            kind=self.text(value.get("type") or "volume"),
            target=self.text(value.get("target")),
            source=self.text(source) if source else None,
            read_only=is_true(self.plain(value.get("read_only"))),
            size=None if size is None else self.text(size),
        )

    def _is_scalar(self, value: object) -> bool:
        if isinstance(value, dict | list):
            self.wrong(value, "text")
            return False
        return True


def is_true(value: object) -> bool:
    """Whether a value is true, as a boolean of YAML or as text."""
    return value is True or value == "true"


def scalar(value: object) -> str:
    """A scalar of YAML as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    if not first:
        return []
    begin, end = int(first), int(last or first)
    if not 0 < begin <= end < 65536 or end - begin >= MOST_PORTS_OF_A_RANGE:
        return []
    return list(range(begin, end + 1))


def _short_volume(text: str) -> Mount:
    parts = re.split(r":(?!\\)", text) if re.match(r"[A-Za-z]:\\", text) else text.split(":")
    if len(parts) == 1:
        return Mount("volume", parts[0])
    source, target, *modes = parts
    flags = {flag for mode in modes for flag in mode.split(",")}
    path = source.startswith((".", "/", "~")) or "/" in source
    return Mount("bind" if path else "volume", target, source, "ro" in flags)


_READERS: dict[str, Callable[[Forms, Any], Any]] = {
    "command": Forms.words,
    "entrypoint": Forms.words,
    "environment": Forms.environment,
    "env_file": Forms.env_files,
    "labels": Forms.labels,
    "extra_hosts": Forms.hosts,
    "depends_on": Forms.depends_on,
    "networks": Forms.names,
    "build": Forms.build,
    "secrets": Forms.sources,
    "configs": Forms.sources,
    "ports": Forms.ports,
    "volumes": Forms.volumes,
    "healthcheck": Forms.mapping_with_variables,
    "deploy": Forms.mapping,
    "devices": Forms.entries,
    "ulimits": Forms.mapping,
    "logging": Forms.mapping,
    "image": Forms.text,
    "working_dir": Forms.text,
    "user": Forms.text,
    "hostname": Forms.text,
    "container_name": Forms.text,
    "restart": Forms.text,
    "network_mode": Forms.text,
    "ipc": Forms.text,
    "pid": Forms.text,
    "runtime": Forms.text,
    "shm_size": Forms.text,
    "mem_limit": Forms.text,
    "cpus": Forms.text,
    "stop_grace_period": Forms.text,
    "expose": Forms.texts,
    "tmpfs": Forms.texts,
    "profiles": Forms.texts,
    "cap_add": Forms.texts,
    "group_add": Forms.texts,
    "links": Forms.texts,
    "external_links": Forms.texts,
    "security_opt": Forms.texts,
    "extends": Forms.plain,
}
