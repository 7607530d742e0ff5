"""The strict model that every setting passes through, and its errors in a user's words."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from components.config.yaml_document import UnreadableError, YamlDocument, read_document

Location = tuple[int | str, ...]


class SettingsError(Exception):
    """What is wrong with a file that the user wrote; `str()` of it is what the user reads."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StrictModel(BaseModel):
    """A frozen model that refuses keys it does not know, and says which ones it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    # By the key of an earlier version: what to do instead.
    renamed_keys: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _name_the_allowed_keys(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        allowed = _keys(cls)
        known = {*allowed, *cls.model_fields}
        for key in data:
            if key in cls.renamed_keys:
                raise PydanticCustomError("renamed_key", cls.renamed_keys[key])
            if key not in known:
                raise PydanticCustomError(
                    "unknown_key",
                    "unknown key {key}; {allowed}",
                    {"key": repr(key), "allowed": choices(str(key), allowed), "at": key},
                )
        return data


class CamelModel(StrictModel):
    """Settings under Pulumi's own spelling of keys."""

    model_config = ConfigDict(alias_generator=to_camel)


Model = TypeVar("Model", bound=StrictModel)


def choices(found: str, allowed: Iterable[str]) -> str:
    """Name the allowed values, and the one that was probably meant."""
    options = sorted(allowed)
    listed = f"allowed: {', '.join(options) or 'none'}"
    near = difflib.get_close_matches(found, options, n=1)
    return f"did you mean {near[0]!r}? {listed}" if near else listed


def validate(model: type[Model], data: object, source: str, prefix: str = "") -> Model:
    """Build `model` from `data`; raises `SettingsError` naming source, key, value and the allowed.

    `prefix` stands before each key, as Pulumi's own `project:key` does.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise SettingsError(
            f"{source}: {prefix}{_explain(problem)}" for problem in error.errors()
        ) from None


def load_yaml(model: type[Model], path: Path) -> Model:
    """Read a YAML file into `model`; problems name the file and the line.

    Raises `SettingsError` for whatever else the file holds, or if it can't be read.
    """
    name = path.name
    try:
        document = read_document(path)
    except UnreadableError as error:
        raise SettingsError(
            f"{name}: {text}" if line is None else f"{name}:{line}: {text}"
            for line, text in error.problems
        ) from None
    content = document.content
    if not isinstance(content, dict):
        found = "nothing" if content is None else reprlib.repr(content)
        raise SettingsError(
            [
                f"{name}:{document.line(())}: is not a mapping; found {found}, "
                f"{choices('', _keys(model))}"
            ]
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError(
            f"{name}:{_line(document, problem)}: {_explain(problem)}" for problem in error.errors()
        ) from None


def _keys(model: type[BaseModel]) -> list[str]:
    """The keys of a model as a user writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _explain(problem: ErrorDetails) -> str:
    """One line: the key, what is wrong, what was found. The message names what is allowed."""
    key = ".".join(str(part) for part in _user_location(problem)) or "(top level)"
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], dict) or problem["type"] == "missing":
        return f"{key}: {message}"
    return f"{key}: {message}; found {_shown(problem['input'])}"


def _shown(value: object) -> str:
    """A value as it was found, without the user name and password of an address in it."""
    return re.sub(r"://\S*@", "://…@", repr(value))


def _user_location(problem: ErrorDetails) -> Location:
    """The keys as they stand in the file, without what pydantic adds for unions and for keys."""
    added = {"chat", "inference", "container", "[key]"}
    location = problem["loc"]
    return tuple(part for at, part in enumerate(location) if at < 2 or part not in added)


def _line(document: YamlDocument, problem: ErrorDetails) -> int:
    """The line of what a problem is about, or of what should contain it."""
    return document.line((*_user_location(problem), problem.get("ctx", {}).get("at")))
