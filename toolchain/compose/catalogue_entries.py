"""What the project's catalogue has already: names that are taken, and settings of images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from toolchain.compose.known_images import is_alpine, repository

# Names on the network of what a stack has without an entry.
_OWN_SERVICES = {"monitor", "restarter"}
# What an entry of the same image has found out.
_SETTINGS = ("user", "read_only", "tmpfs", "cap_add", "health", "start_timeout")


@dataclass(frozen=True)
class KnownEntry:
    """An entry of the catalogue that has a published image."""

    name: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    paths: frozenset[str]
    """Where its volumes are."""
    port: int | None
    on_alpine: bool
    """Whether the image is a variant with Alpine's user ids."""
    limits: Mapping[str, Any]


@dataclass
class CatalogueEntries:
    """Names and images in services.yaml and catalog/*.yaml."""

    services: set[str] = field(default_factory=lambda: set(_OWN_SERVICES))
    secrets: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    builds: set[str] = field(default_factory=set)
    images: dict[str, KnownEntry] = field(default_factory=dict)
    """By repository."""

    def add(self, content: Mapping[str, Any]) -> None:
        """Add the entries of one file."""
        secrets = content.get("secrets")
        self.secrets |= set(secrets) if isinstance(secrets, dict) else set()
        services = content.get("services")
        for name, entry in (services if isinstance(services, dict) else {}).items():
            self.services.add(str(name))
            if isinstance(entry, dict):
                self._add_service(str(name), entry)

    def _add_service(self, name: str, entry: Mapping[str, Any]) -> None:
        volumes = [str(volume).split(":") for volume in entry.get("volumes") or []]
        named = [parts for parts in volumes if re.match(r"[a-z]", parts[0])]
        self.volumes |= {parts[0] for parts in named}
        environment = entry.get("environment")
        image = entry.get("image")
        if isinstance(image, str) and re.search(r"[/:@]", image):
            settings = {key: entry[key] for key in _SETTINGS if key in entry}
            known = KnownEntry(
                name,
                settings,
                {str(key): str(text) for key, text in environment.items()}
                if isinstance(environment, dict)
                else {},
                frozenset(parts[1] for parts in named if len(parts) > 1),
                entry.get("port"),
                is_alpine(image),
                {key: entry[key] for key in ("memory", "cpus") if key in entry},
            )
            self.images.setdefault(repository(image), known)


def read_entries(root: Path, without: Path) -> CatalogueEntries:
    """The entries of the project; files that cannot be read are passed over.

    :param without: the file that the import writes.
    """
    found = CatalogueEntries()
    for path in _files(root):
        if path != without:
            try:
                content = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, ValueError, yaml.YAMLError):
                continue
            if isinstance(content, dict):
                found.add(content)
    folder = root / "docker"
    found.builds = {path.name.partition(".")[0] for path in folder.glob("*.Dockerfile")}
    return found


def _files(root: Path) -> Iterator[Path]:
    yield root / "services.yaml"
    yield from sorted((root / "catalog").glob("*.yaml"))
