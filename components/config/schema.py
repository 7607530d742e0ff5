"""The strict model that every setting passes through, and its errors as problems of a file."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from components.config.problems import Key, Problem, SettingsError, Source, choices

# Values that are dropped one after another, until what is left is valid.
_MOST_ROUNDS = 20


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    renamed_keys: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """By the key of an earlier version: its new name, and the command that renames it."""
    refused_keys: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """By a key that people expect: why it is refused, and what is there instead."""


class CamelModel(StrictModel):
    """Settings under Pulumi's own spelling of keys."""

    model_config = ConfigDict(alias_generator=to_camel)


Model = TypeVar("Model", bound=StrictModel)


def refusal(
    text: str, *, allowed: str | None = None, run: str | None = None, hide: bool = False
) -> PydanticCustomError:
    """An error for a validator to raise, which becomes the parts of a `Problem`.

    :param hide: whether the value must not be shown, since it may hold a secret.
    """
    context: dict[str, Any] = {"text": text, "hide": hide}
    context |= {"allowed": f"allowed: {allowed}"} if allowed else {}
    context |= {"run": run} if run else {}
    return PydanticCustomError("refused", "{text}", context)


@dataclass(frozen=True)
class Reading(Generic[Model]):
    """What a file holds, as far as it is valid."""

    value: Model | None
    """Without the values that have problems; None where nothing is left."""
    problems: tuple[Problem, ...]
    dropped: frozenset[Key]
    """Keys of the values that were left out: nothing else about them is worth a problem."""

    def lacks(self, *key: str | int) -> bool:
        """Whether the value at a key was left out, with what contains it."""
        return any(key[: len(dropped)] == dropped for dropped in self.dropped)

    def indexes(self, key: str, count: int) -> list[int]:
        """Where the file has the `count` values that are left of the list at a key."""
        left_out = {one[1] for one in self.dropped if len(one) == 2 and one[0] == key}
        return [at for at in range(count + len(left_out)) if at not in left_out]


def validate(model: type[Model], data: object, source: Source) -> Model:
    """Build `model` from `data`; raises `SettingsError` with every problem found."""
    reading = read(model, data, source)
    if reading.problems or reading.value is None:
        raise SettingsError(reading.problems)
    return reading.value


def read(
    model: type[Model],
    data: object,
    source: Source,
    at: Key = (),
    fallback: Mapping[str, object] | None = None,
) -> Reading[Model]:
    """Build `model` from what is valid in `data`, so that checks of the rest can go on.

    :param at: where in the file `data` is.
    :param fallback: values for keys that the model requires, used when they are missing or wrong.
    """
    problems: list[Problem] = []
    dropped: set[Key] = set()
    for _ in range(_MOST_ROUNDS):
        try:
            return Reading(model.model_validate(data), tuple(problems), _below(at, dropped))
        except ValidationError as error:
            found = list(_found(error, data))
        for key, detail in found:
            # Not what a dropped value causes, such as a list that is then too short.
            if not any(known[: len(key)] == key for known in dropped):
                problems.append(_problem(model, key, detail, source, at))
        keys = {_to_drop(key, detail) for key, detail in found}
        dropped |= {key for key, _ in found}
        if () in keys:
            missing = _missing(fallback or {}, data)
            if not missing or not isinstance(data, Mapping):
                break
            data = {**data, **missing}
            keys.discard(())
        data = _without(data, keys)
    return Reading(None, tuple(problems), _below(at, dropped | {()}))


def _missing(fallback: Mapping[str, object], data: object) -> dict[str, object]:
    present: Mapping[str, object] = data if isinstance(data, Mapping) else {}
    return {name: value for name, value in fallback.items() if name not in present}


def _below(at: Key, keys: set[Key]) -> frozenset[Key]:
    return frozenset((*at, *key) for key in keys)


def _found(error: ValidationError, data: object) -> Iterator[tuple[Key, ErrorDetails]]:
    """The errors by the user's own keys; of the branches of a union only the first one's."""
    seen: set[Key] = set()
    for detail in error.errors(include_url=False):
        key = _user_key(detail, data)
        if key not in seen:
            seen.add(key)
            yield key, detail


def _user_key(detail: ErrorDetails, data: object) -> Key:
    """The keys as they are in the file, without what pydantic adds for unions and keys."""
    key: list[str | int] = []
    node: Any = data
    location = detail["loc"]
    for at, part in enumerate(location):
        if _holds(node, part):
            node = node[part]
            key.append(part)
        elif detail["type"] == "missing" and at == len(location) - 1:
            key.append(part)
    return tuple(key)


def _holds(node: object, part: str | int) -> bool:
    if isinstance(node, Mapping):
        return part in node
    return isinstance(node, list | tuple) and isinstance(part, int) and part < len(node)


def _to_drop(key: Key, detail: ErrorDetails) -> Key:
    """The smallest value without which the rest may be valid."""
    return key[:-1] if detail["type"] == "missing" else key


def _without(data: object, keys: set[Key]) -> object:
    """A copy of the data without the values at the keys."""
    here = {key[0] for key in keys if len(key) == 1}
    deeper: dict[str | int, set[Key]] = {}
    for key in keys:
        if len(key) > 1:
            deeper.setdefault(key[0], set()).add(key[1:])
    if isinstance(data, Mapping):
        return {
            name: _without(value, deeper.get(name, set()))
            for name, value in data.items()
            if name not in here
        }
    if isinstance(data, list | tuple):
        return [
            _without(value, deeper.get(at, set()))
            for at, value in enumerate(data)
            if at not in here
        ]
    return data


def _problem(
    model: type[BaseModel], key: Key, detail: ErrorDetails, source: Source, at: Key
) -> Problem:
    """The error in plain words. Errors of our own carry `allowed` and `run` in their context."""
    context: dict[str, Any] = detail.get("ctx") or {}
    kind, value = detail["type"], detail["input"]
    place = (*at, *key)
    if kind == "extra_forbidden":
        return _unknown_key(model, detail, source, place)
    if kind == "missing":
        return source.problem(place, "is missing", run=source.set_command(place))
    text, allowed = _PLAIN.get(kind, lambda _: (detail["msg"], None))(context)
    text = "has no value" if value is None and "text" not in context else text
    if kind in {"literal_error", "enum"}:
        allowed = choices(str(value), _expected(context["expected"]))
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        section = model_at(model, detail["loc"])
        allowed = f"allowed: {', '.join(keys_of(section))}" if section else "allowed: key: value"
    found = None if isinstance(value, Mapping) or context.get("hide") else value
    return source.problem(
        place,
        text.removeprefix("Value error, "),
        found=found,
        allowed=context.get("allowed") or allowed,
        run=context.get("run") or source.set_command(place),
    )


def _unknown_key(
    model: type[BaseModel], detail: ErrorDetails, source: Source, place: Key
) -> Problem:
    section = model_at(model, detail["loc"][:-1]) or model
    name = str(detail["loc"][-1])
    renamed = section.renamed_keys.get(name) if issubclass(section, StrictModel) else None
    if renamed:
        return source.problem(place, f"is now {renamed[0]}", run=renamed[1])
    refused = section.refused_keys.get(name) if issubclass(section, StrictModel) else None
    if refused:
        text, allowed = refused
        return source.problem(place, f"is refused: {text}", allowed=f"allowed: {allowed}")
    return source.problem(
        place,
        "unknown key",
        allowed=choices(name, keys_of(section)),
        run=source.remove_command(place),
    )


def _expected(text: str) -> list[str]:
    """The values that pydantic lists as `'a', 'b' or 'c'`."""
    return [part.strip(" '") for part in text.replace(" or ", ", ").split(",")]


def _number(unit: str) -> Any:
    return lambda context: (f"is not {unit}", f"allowed: {unit}")


_PLAIN: Mapping[str, Any] = {
    "greater_than": lambda c: ("is too small", f"allowed: more than {c['gt']}"),
    "greater_than_equal": lambda c: ("is too small", f"allowed: at least {c['ge']}"),
    "less_than": lambda c: ("is too large", f"allowed: less than {c['lt']}"),
    "less_than_equal": lambda c: ("is too large", f"allowed: at most {c['le']}"),
    "literal_error": lambda c: ("is not a valid value", None),
    "enum": lambda c: ("is not a valid value", None),
    "model_type": lambda c: ("is not a mapping", None),
    "model_attributes_type": lambda c: ("is not a mapping", None),
    "dict_type": lambda c: ("is not a mapping", None),
    "tuple_type": lambda c: ("is not a list", "allowed: a list"),
    "list_type": lambda c: ("is not a list", "allowed: a list"),
    "int_type": _number("a whole number"),
    "int_parsing": _number("a whole number"),
    "int_from_float": _number("a whole number"),
    "float_type": _number("a number"),
    "float_parsing": _number("a number"),
    "finite_number": _number("a finite number"),
    "bool_type": lambda c: ("is not true or false", "allowed: true, false"),
    "bool_parsing": lambda c: ("is not true or false", "allowed: true, false"),
    "string_type": lambda c: ("is not text", "allowed: text, in quotes"),
    "string_too_short": lambda c: ("is empty", "allowed: text"),
    "too_short": lambda c: ("has too few entries", f"allowed: at least {c['min_length']}"),
    "too_long": lambda c: ("has too many entries", f"allowed: at most {c['max_length']}"),
    "url_parsing": lambda c: ("is not a valid URL", "allowed: https://…"),
    "url_scheme": lambda c: ("is not a valid URL", "allowed: https://…"),
    "url_type": lambda c: ("is not a valid URL", "allowed: https://…"),
}


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model as a user writes them."""
    return sorted(field.alias or name for name, field in model.model_fields.items())


def model_at(annotation: Any, location: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that a location of pydantic's leads to, from a model or another annotation."""
    if get_origin(annotation) is Annotated:
        return model_at(get_args(annotation)[0], location)
    if get_origin(annotation) in {Union, types.UnionType}:
        branches = (model_at(branch, location) for branch in get_args(annotation))
        return next((found for found in branches if found), None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model_below(annotation, location) if location else annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if location and isinstance(origin, type) and arguments:
        # A mapping's values, or a list's entries.
        item = arguments[1] if issubclass(origin, Mapping) else arguments[0]
        return model_at(item, location[1:])
    return None


def _model_below(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    for name, field in model.model_fields.items():
        if location[0] in {name, field.alias}:
            return model_at(field.annotation, location[1:])
    return None
