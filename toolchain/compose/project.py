"""The project that compose files describe: files, `include`, `extends`, variables, profiles."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.compose.dotenv import read_variables
from toolchain.compose.forms import Forms
from toolchain.compose.interpolation import Variables
from toolchain.compose.merge import merged, settled
from toolchain.compose.problems import ComposeError, Place, problem, type_name
from toolchain.compose.yaml_file import Override, Reset, Section, read_documents

_SECTIONS = ("services", "volumes", "networks", "secrets", "configs")
_DEEPEST = 20


@dataclass
class ComposeProject:
    """All that the files describe, merged."""

    name: str
    folder: Path
    """Where relative paths begin."""
    variables: Variables
    services: dict[str, Section] = field(default_factory=dict)
    volumes: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    configs: dict[str, Any] = field(default_factory=dict)
    missing: list[tuple[str, str]] = field(default_factory=list)
    """Services, and the env_file of theirs that does not exist."""
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Services that the given profiles leave out, with their profiles."""


def load_project(
    files: Sequence[Path],
    *,
    environment: Mapping[str, str] = os.environ,
    env_files: Sequence[Path] = (),
    profiles: Sequence[str] = (),
    name: str | None = None,
) -> ComposeProject:
    """Read and merge compose files; raises `ComposeError` with all problems found."""
    folder = files[0].absolute().parent
    variables = Variables(_values(folder, env_files, environment))
    loader = _Loader(folder, variables)
    for file in files:
        loader.add(file, folder)
    loader.finish()
    given = loader.name or environment.get("COMPOSE_PROJECT_NAME")
    project = ComposeProject(
        name=project_name(name or given or folder.name), folder=folder, variables=variables
    )
    for section in _SECTIONS[1:]:
        setattr(project, section, loader.sections[section])
    for key, service in loader.services.items():
        own = tuple(service.get("profiles") or ())
        if not profiles or not own or "*" in profiles or {*profiles} & {*own}:
            project.services[key] = service
        else:
            project.left_out[key] = own
    project.missing = loader.missing
    return project


def project_name(text: str) -> str:
    """A name for the file in catalog/, made of another one."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = re.sub(r"^[^a-z]+", "", name)[:30].strip("-")
    return name if len(name) > 1 else "imported"


def _values(
    folder: Path, env_files: Sequence[Path], environment: Mapping[str, str]
) -> dict[str, str]:
    """Variables: those of the shell before those of the files."""
    found: dict[str, str] = {}
    given = list(env_files) or ([folder / ".env"] if (folder / ".env").is_file() else [])
    for file in given:
        found |= read_variables(file, file.name, environment)
    # Where Compose itself is called for this project.
    return {**found, **environment, "PWD": str(folder)}


class _Loader:
    """Reads files one after another, and merges what they describe."""

    def __init__(self, folder: Path, variables: Variables) -> None:
        self._variables = variables
        self._folder = folder
        self._problems: list[str] = []
        self._raw: dict[Path, list[Section]] = {}
        self.name: str | None = None
        self.services: dict[str, Section] = {}
        self.sections: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS[1:]}
        self.missing: list[tuple[str, str]] = []

    def add(self, file: Path, folder: Path, depth: int = 0) -> None:
        """Merge a file over those before it.

        :param folder: where its relative paths begin.
        """
        for document in self._documents(file):
            self._include(document, file, folder, depth)
            if isinstance(given := document.get("name"), str):
                self.name = self._variables.plain(given)
            for section in _SECTIONS:
                content = self._content(document, section)
                for name, value in content.items():
                    if section == "services":
                        self._add_service(name, value, content.place_of(name), file, folder)
                    else:
                        self._add_top(section, name, value)

    def finish(self) -> None:
        """Read the files of variables; raise `ComposeError` if there is any problem."""
        if not self.services and not self._problems:
            self._problems.append(problem(Place(self._folder.name), "services", "has no service"))
        if self._problems:
            raise ComposeError(self._problems)

    def _documents(self, file: Path) -> list[Section]:
        path = file.absolute()
        if path not in self._raw:
            self._raw[path] = read_documents(path, file.name, self._variables)
        return self._raw[path]

    def _content(self, document: Section, key: str) -> Section:
        content = document.get(key)
        if isinstance(content, Override):
            content = content.value
        if content is None or isinstance(content, Reset):
            return Section(document.place_of(key))
        if not isinstance(content, Section):
            self._report(document.place_of(key), key, content, "a mapping")
            return Section(document.place_of(key))
        return content

    def _report(self, place: Place, key: str, found: object, allowed: str) -> None:
        self._problems.append(
            problem(place, key, "has a wrong form", found=type_name(found), allowed=allowed)
        )

    def _add_top(self, section: str, name: str, value: Any) -> None:
        known = self.sections[section]
        if isinstance(value, Reset):
            known.pop(name, None)
            return
        value = Forms(self._variables).plain(value) if section != "configs" else value
        before = known.get(name)
        if isinstance(before, Section) and isinstance(value, Section):
            value = merged(before, value)
        known[name] = settled(value) if isinstance(value, Section) else value

    def _add_service(self, name: str, value: Any, place: Place, file: Path, folder: Path) -> None:
        if isinstance(value, Reset):
            self.services.pop(name, None)
            return
        service = self._service(name, value, place, file, folder, ())
        before = None if isinstance(value, Override) else self.services.get(name)
        self.services[name] = settled(service) if before is None else merged(before, service)

    def _service(
        self,
        name: str,
        value: Any,
        place: Place,
        file: Path,
        folder: Path,
        chain: tuple[tuple[Path, str], ...],
    ) -> Section:
        """A service in one form, over what it extends."""
        forms = Forms(self._variables, self._problems, folder)
        service = forms.service(name, value, place)
        self._variables_of_files(name, service, folder)
        extended = service.pop("extends", None)
        if extended is None:
            return service
        at = service.place_of("extends")
        source = extended.get("file") if isinstance(extended, Section) else None
        base = extended.get("service") if isinstance(extended, Section) else extended
        if not isinstance(base, str) or not isinstance(source, str | None):
            self._report(at, f"services.{name}.extends", extended, "service: …, file: …")
            return service
        path = (folder / source).absolute() if source else file.absolute()
        if (path, base) in chain or len(chain) > _DEEPEST:
            self._problems.append(
                problem(at, f"services.{name}.extends", "extends itself, in a circle")
            )
            return service
        found = self._find(path, base)
        if found is None:
            self._problems.append(
                problem(at, f"services.{name}.extends", f"there is no service {base!r}")
            )
            return service
        below = self._service(
            base,
            found[0],
            found[1],
            path,
            path.parent if source else folder,
            (*chain, (path, base)),
        )
        return merged(settled(below), service)

    def _find(self, file: Path, name: str) -> tuple[Any, Place] | None:
        for document in self._documents(file):
            services = self._content(document, "services")
            if name in services:
                return services[name], services.place_of(name)
        return None

    def _variables_of_files(self, name: str, service: Section, folder: Path) -> None:
        """Put the variables of `env_file` below those of `environment`."""
        files = service.pop("env_file", None)
        if not isinstance(files, list):
            return
        found: dict[str, str | None] = {}
        for path, required in files:
            file = folder / Path(path).expanduser()
            if file.is_file():
                values = read_variables(file, Path(path).name, self._variables.values)
                found |= {key: _without_marks(value) for key, value in values.items()}
            elif required or not path:
                self.missing.append((name, path))
        environment = service.get("environment")
        own = environment if isinstance(environment, dict) else {}
        if isinstance(environment, Override):
            return
        if found:
            service.put("environment", {**found, **own}, service.place_of("env_file"))

    def _include(self, document: Section, file: Path, folder: Path, depth: int) -> None:
        included = document.get("include")
        if included is None:
            return
        place = document.place_of("include")
        if not isinstance(included, list) or depth > _DEEPEST:
            self._report(place, "include", included, f"a list of files, {_DEEPEST} levels at most")
            return
        for entry in included:
            for path, base in self._included(entry, place, folder):
                self.add(path, base, depth + 1)

    def _included(self, entry: Any, place: Place, folder: Path) -> Iterator[tuple[Path, Path]]:
        given = entry.get("path") if isinstance(entry, Section) else entry
        paths = given if isinstance(given, list) else [given]
        own = entry.get("project_directory") if isinstance(entry, Section) else None
        for path in paths:
            if not isinstance(path, str):
                self._report(place, "include", path, "the path of a file")
                continue
            file = (folder / self._variables.plain(path)).absolute()
            yield file, (folder / own).absolute() if isinstance(own, str) else file.parent


def _without_marks(value: str) -> str:
    return re.sub("[\U0010e000\U0010e001]", "", value)
