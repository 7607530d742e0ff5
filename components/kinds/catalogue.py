"""The catalogue: every model and service that a stack can run, as `services.yaml` and the files of
`catalog/` list them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from components.config.field_types import ModelName, Name
from components.config.files import read_mapping
from components.config.model import Model
from components.config.named_secrets import GeneratedSecretSettings, SecretName
from components.config.problems import Key, Problem, SettingsError, Source, choices
from components.config.references import reference_problems, resolved
from components.config.schema import Reading, StrictModel, keys_of, read
from components.config.stack_settings import Defaults
from components.kinds.registry import kinds
from components.kinds.service import LocalService, Service

# Beside services.yaml: more files with entries, which a stack enables by name.
FOLDER = "catalog"
# Keys for YAML anchors, as in Compose files.
EXTENSION = "x-"


class _File(StrictModel):
    """The sections of a file; their entries are read one by one."""

    models: dict[ModelName, Any] = Field(default_factory=dict)
    services: dict[Name, Any] = Field(default_factory=dict)
    secrets: dict[SecretName, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class StackValues:
    """What a stack decides about the entries of a catalogue."""

    defaults: Defaults = field(default_factory=Defaults)
    values: Mapping[str, str] = field(default_factory=dict)
    """By name: the value that replaces `${config:NAME}`."""
    enabled: tuple[str, ...] | None = None
    """The services that it names; None for all of services.yaml."""
    needs_all_names: bool = False
    """Whether it needs the names of all services, also of those that are off."""


@dataclass(frozen=True)
class Catalogue:
    """The models and services that are valid, by name, and the problems of the others."""

    source: Source
    """services.yaml."""
    models: Mapping[str, Model] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """Of all services of services.yaml, those with problems included."""
    problems: tuple[Problem, ...] = ()
    secrets: Mapping[str, GeneratedSecretSettings] = field(default_factory=dict)
    """Secrets that are generated, by name."""
    more_names: tuple[str, ...] = ()
    """Of the services of catalog/, which a stack can enable by name."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """By service: the file that has it."""

    @property
    def all_names(self) -> tuple[str, ...]:
        """Of all services that a stack can enable."""
        return (*self.names, *self.more_names)

    def source_of(self, service: str) -> Source:
        """The file that has a service."""
        return self.sources.get(service, self.source)


def load_catalogue(path: Path, stack: StackValues = StackValues()) -> Catalogue:
    """Read and check the catalogue: `services.yaml`, and where the stack names a service that it
    does not have, the files of `catalog/` beside it. A file without any valid content is one
    problem.
    """
    main = _read_file(path, stack)
    enabled = main.services if stack.enabled is None else stack.enabled
    valid = (main.services[name].value for name in enabled if name in main.services)
    named = {*enabled, *(needed for service in valid if service for needed in service.needs)}
    if not main.services or (named <= main.services.keys() and not stack.needs_all_names):
        return _checked([main], stack)
    more = [_read_file(file, stack) for file in sorted((path.parent / FOLDER).glob("*.yaml"))]
    return _checked([main, *more], stack)


def _checked(files: Sequence[_Content], stack: StackValues) -> Catalogue:
    """All files as one catalogue, and the problems of their entries; services.yaml is the first."""
    main, *more = files
    models = _joined([file.models for file in files])
    services = _joined([file.services for file in files])
    secrets = _joined([file.secrets for file in files])
    sources = _joined([dict.fromkeys(file.services, file.source) for file in files])
    # A model with a problem is known, but there is nothing to compare with it.
    known = {name: one.value if not one.problems else None for name, one in models.items()}
    valid = {name: one.value for name, one in services.items() if one.value}
    entries = [*models.values(), *services.values(), *secrets.values()]
    unknown = {key for file in files for key in file.unknown}
    problems = [
        *(problem for file in files for problem in file.problems),
        *_listed_twice(files),
        # A text with a name that has no value may be wrong for that reason alone.
        *(one for entry in entries for one in entry.problems if one.location not in unknown),
        *(
            problem
            for name, service in valid.items()
            for problem in service.problems(name, known, sources[name])
        ),
    ]
    return Catalogue(
        source=main.source,
        models={name: one.value for name, one in models.items() if one.value},
        services=valid,
        names=tuple(main.services),
        problems=tuple(one for one in problems if _matters(one, main, stack)),
        secrets={name: one.value for name, one in secrets.items() if one.value},
        more_names=tuple(name for file in more for name in file.services),
        sources=sources,
    )


Entry = TypeVar("Entry")


def _joined(sections: Iterable[Mapping[str, Entry]]) -> dict[str, Entry]:
    """The entries of all files; of two with one name the first."""
    joined: dict[str, Entry] = {}
    for section in sections:
        joined |= {name: entry for name, entry in section.items() if name not in joined}
    return joined


def _listed_twice(files: Sequence[_Content]) -> Iterator[Problem]:
    seen: dict[Key, str] = {}
    for file in files:
        for key in file.keys:
            if key in seen:
                yield file.source.problem(
                    key, f"is also in {seen[key]}", allowed="allowed: each name once"
                )
            seen.setdefault(key, file.source.name)


def _matters(problem: Problem, main: _Content, stack: StackValues) -> bool:
    """Whether a stack must not go on with a problem: all of services.yaml counts, and what the
    stack enables of the other files."""
    section, name, *_ = (*problem.location, None, None)
    if problem.source == main.source.name or section != "services" or stack.enabled is None:
        return True
    return name in stack.enabled


@dataclass(frozen=True)
class _Content:
    """What one file has."""

    source: Source
    models: Mapping[str, Reading[Model]] = field(default_factory=dict)
    services: Mapping[str, Reading[Any]] = field(default_factory=dict)
    secrets: Mapping[str, Reading[GeneratedSecretSettings]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unknown: frozenset[Key] = frozenset()
    """Keys of texts with a name that the stack has no value for."""

    @property
    def keys(self) -> Iterator[Key]:
        """Of all its entries."""
        sections = {"models": self.models, "services": self.services, "secrets": self.secrets}
        for section, entries in sections.items():
            yield from ((section, name) for name in entries)


def _read_file(path: Path, stack: StackValues) -> _Content:
    name = path.name if path.parent.name != FOLDER else f"{FOLDER}/{path.name}"
    try:
        source, content = read_mapping(path, keys_of(_File), name)
    except SettingsError as error:
        return _Content(Source(name), problems=error.problems)
    content = {key: one for key, one in content.items() if not str(key).startswith(EXTENSION)}
    unknown = [
        problem
        for problem in reference_problems(content, stack.values, (), source)
        # Of an entry that the stack leaves off it needs no value.
        if stack.enabled is None
        or problem.location[:1] != ("services",)
        or problem.location[1:2] == ()
        or problem.location[1] in stack.enabled
    ]
    sections = read(_File, resolved(content, stack.values), source)
    found = sections.value or _File()
    return _Content(
        source,
        {name: _read_model(name, entry, source) for name, entry in found.models.items()},
        {
            name: _read_service(name, entry, source, stack.defaults)
            for name, entry in found.services.items()
        },
        {
            name: read(GeneratedSecretSettings, entry, source, at=("secrets", name))
            for name, entry in found.secrets.items()
        },
        (*unknown, *sections.problems),
        frozenset(problem.location for problem in unknown),
    )


def _read_model(name: str, entry: object, source: Source) -> Reading[Model]:
    place = ("models", name)
    # With these the other keys can be checked where one of them is missing or wrong.
    fallback = {"description": "", "context": 4096, "slots": 1}
    reading = read(Model, entry, source, at=place, fallback=fallback)
    if reading.value is None:
        return reading
    found = [
        problem
        for problem in reading.value.problems(place, source)
        # A value that was left out is not missing as well.
        if not reading.lacks(*problem.location)
        and not any(key[: len(problem.location)] == problem.location for key in reading.dropped)
    ]
    return replace(reading, problems=(*reading.problems, *found))


def _read_service(name: str, entry: object, source: Source, defaults: Defaults) -> Reading[Any]:
    """One service by its kind, with the stack's limits where it has none."""
    place = ("services", name)
    kind = entry.get("kind") if isinstance(entry, Mapping) else None
    model = kinds().get(str(kind))
    if model is not None:
        reading = read(model, entry, source, at=place)
        return replace(reading, value=_with_limits(reading.value, defaults))
    if not isinstance(entry, Mapping):
        problem = source.problem(place, "is not a mapping", found=entry, allowed="allowed: kind: …")
    elif kind is None:
        problem = source.problem((*place, "kind"), "is missing", allowed=choices("", kinds()))
    else:
        problem = source.problem(
            (*place, "kind"),
            "is not a valid kind",
            found=kind,
            allowed=choices(str(kind), kinds()),
        )
    return Reading(None, (problem,), frozenset({place}))


def _with_limits(service: Service | None, defaults: Defaults) -> Service | None:
    if not isinstance(service, LocalService):
        return service
    return service.with_limits({"memory": defaults.memory, "cpus": defaults.cpus})
