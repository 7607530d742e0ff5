"""The strict model that every setting passes through, and its errors in a user's words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

Location = tuple[int | str, ...]


class SettingsError(Exception):
    """What is wrong with a file that the user wrote; `str()` of it is what the user reads."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StrictModel(BaseModel):
    """A frozen model that refuses keys it does not know, and says which ones it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _name_the_allowed_keys(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        known = {*allowed, *cls.model_fields}
        for key in data:
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

    Raises `SettingsError` for a missing file, broken YAML, a key given twice, or a value refused.
    """
    name = path.name
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        content = loader.construct_document(root) if root else None
    except OSError as error:
        raise SettingsError([f"{name}: cannot be read: {error.strerror}"]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError([f"{name}:{line}: is not YAML: {error.problem}"]) from None
    repeated = [f"{name}:{line}: the key {key!r} is given twice" for key, line in _repeats(root)]
    if repeated:
        raise SettingsError(repeated)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError(
            f"{name}:{_line(root, problem)}: {_explain(problem)}" for problem in error.errors()
        ) from None


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


def _line(node: yaml.Node | None, problem: ErrorDetails) -> int:
    """The line of the deepest node that the location of a problem leads to."""
    line = 1
    for part in (*_user_location(problem), problem.get("ctx", {}).get("at")):
        step = _child(node, part)
        if step is None:
            break
        line, node = step
    return line


def _child(node: yaml.Node | None, part: int | str | None) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        value = node.value[part]
        return value.start_mark.line + 1, value
    return None


def _repeats(node: yaml.Node | None) -> Iterable[tuple[str, int]]:
    """Keys given twice in one mapping: YAML readers keep the last one silently."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.value, key.start_mark.line + 1
            seen.add(key.value)
            yield from _repeats(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeats(value)
