"""The catalogue: every model and service that a stack can run, as `services.yaml` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config.field_types import ModelName, Name
from components.config.files import read_mapping
from components.config.model import Model
from components.config.problems import Problem, SettingsError, Source, choices
from components.config.schema import Reading, StrictModel, keys_of, read
from components.kinds.registry import kinds
from components.kinds.service import Service


class _File(StrictModel):
    """The two sections of the file; their entries are read one by one."""

    models: dict[ModelName, Any]
    services: dict[Name, Any]


@dataclass(frozen=True)
class Catalogue:
    """The models and services that are valid, by name, and the problems of the others."""

    source: Source
    models: Mapping[str, Model]
    services: Mapping[str, Service]
    names: tuple[str, ...]
    """Of all services of the file, those with problems included."""
    problems: tuple[Problem, ...] = ()


def load_catalogue(path: Path) -> Catalogue:
    """Read and check the catalogue. A file without any valid content is one problem."""
    try:
        source, content = read_mapping(path, keys_of(_File))
    except SettingsError as error:
        return Catalogue(Source(path.name), {}, {}, (), error.problems)
    sections = read(_File, content, source, fallback={"models": {}, "services": {}})
    if sections.value is None:
        return Catalogue(source, {}, {}, (), sections.problems)
    models = {
        name: read(Model, entry, source, at=("models", name))
        for name, entry in sections.value.models.items()
    }
    services = {
        name: _read_service(name, entry, source) for name, entry in sections.value.services.items()
    }
    # A model with a problem is known, but there is nothing to compare with it.
    known = {
        name: reading.value if not reading.problems else None for name, reading in models.items()
    }
    valid = {name: reading.value for name, reading in services.items() if reading.value}
    return Catalogue(
        source,
        {name: reading.value for name, reading in models.items() if reading.value},
        valid,
        tuple(services),
        (
            *sections.problems,
            *(problem for reading in models.values() for problem in reading.problems),
            *(problem for reading in services.values() for problem in reading.problems),
            *(
                problem
                for name, service in valid.items()
                for problem in service.problems(name, known, source)
            ),
        ),
    )


def _read_service(name: str, entry: object, source: Source) -> Reading[Any]:
    """One service by its kind."""
    place = ("services", name)
    kind = entry.get("kind") if isinstance(entry, Mapping) else None
    model = kinds().get(str(kind))
    if model is not None:
        return read(model, entry, source, at=place)
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
