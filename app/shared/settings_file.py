"""Reads the settings of an image, and reports all problems at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Location = tuple[int | str, ...]


class SettingsError(Exception):
    """The settings are invalid; the text has one line for each problem."""


class Strict(BaseModel):
    """Base of all settings: unknown keys are an error, and values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Strict)


def read_settings(path: Path, model: type[Model], *, secret: bool = False) -> Model:
    """Read a JSON file into a model; raises SettingsError.

    :param secret: whether to leave the values of the file out of errors.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    return parse_settings(content, model, str(path), secret=secret)


def parse_settings(
    content: bytes, model: type[Model], source: str, *, secret: bool = False
) -> Model:
    """Build a model from JSON; raises SettingsError as `read_settings` does."""
    try:
        data = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{source}: cannot be read: {error}") from None
    except ValueError as error:
        raise SettingsError(f"{source}: is not JSON: {error}") from None
    return validated(data, model, source, secret=secret)


def validated(data: object, model: type[Model], source: str, *, secret: bool = False) -> Model:
    """Build a model; raises SettingsError with source, key, value and what is allowed."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise SettingsError("\n".join(_problems(error, model, source, secret))) from None


def _problems(
    error: ValidationError, model: type[BaseModel], source: str, secret: bool
) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        where = [source, ".".join(str(part) for part in problem["loc"])]
        line = ": ".join((*filter(None, where), problem["msg"].removeprefix("Value error, ")))
        if problem["type"] == "extra_forbidden":
            line += f"; allowed: {', '.join(_keys_at(model, problem['loc'][:-1]))}"
        elif not secret and not isinstance(problem["input"], dict | list):
            line += f"; found {problem['input']!r}"
        yield line


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The allowed keys of the section at a location."""
    section = model
    for part in location:
        field = section.model_fields.get(part) if isinstance(part, str) else None
        section = (field and _model_in(field.annotation)) or section
    return sorted(field.alias or name for name, field in section.model_fields.items())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(inner) for inner in getattr(annotation, "__args__", ()))
    return next((model for model in found if model), None)
