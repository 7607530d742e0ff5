"""Limits on JSON schemas, of which llama-server makes grammars.

OpenAI limits schemas as well: 5000 properties, 10 levels, 1000 values of enums, 120,000 characters.
Here the limits follow from what llama-server does: it follows the references of a schema
recursively, its time grows with the third power of the optional properties of an object, and each
way in which a value can start is compared with every token of the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from app.chat.schema.checks import Problem, measure, wrong_type

MOST_VALUES = 20_000
MOST_LEVELS = 64
MOST_CHARACTERS = 128 * 1024
MOST_PROPERTIES = 500
MOST_ENUM = 1000
MOST_ALTERNATIVES = 256
MOST_STARTS = 2000
LONGEST_PATTERN = 1000
DEEPEST_PATTERN = 50
MOST_REFERENCES = 500
LONGEST_REFERENCES = 50
LONGEST_NAME = 256
LONGEST_REFERENCE = 1024
MOST_REPETITIONS = 2000

_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
# As std::stoull reads it; a larger number is out of range of every list.
_INDEX = re.compile(r"\s*\+?0*(\d{1,9})(?!\d)")


def json_schema(value: Any, param: str) -> None:
    """Check a JSON schema: an object, or true or false."""
    if type(value) is bool:
        return
    if type(value) is not dict:
        raise wrong_type(param, "a JSON schema", value)
    measure(value, param, MOST_VALUES, MOST_LEVELS, MOST_CHARACTERS)
    enum_values = 0
    referring: list[dict[str, Any]] = []
    todo: list[Any] = [value]
    while todo:
        one = todo.pop()
        if type(one) is list:
            todo += one
        elif type(one) is dict:
            _check_keywords(one, param)
            if "$ref" in one:
                referring.append(one)
            if isinstance(one.get("enum"), list):
                enum_values += len(one["enum"])
            todo += one.values()
    if len(referring) > MOST_REFERENCES:
        raise Problem(param, f"has {len(referring)} $ref; allowed: {MOST_REFERENCES}")
    if enum_values > MOST_ENUM:
        raise Problem(param, f"has {enum_values} values of enums; allowed: {MOST_ENUM}")
    if referring:
        _Starts(value, param).check(referring)


def _check_keywords(schema: dict[str, Any], param: str) -> None:
    if any(len(name) > LONGEST_NAME for name in schema):
        raise Problem(param, f"has a name of more than {LONGEST_NAME} characters")
    properties = schema.get("properties")
    if type(properties) is dict and len(properties) > MOST_PROPERTIES:
        raise Problem(param, f"has {len(properties)} properties; allowed: {MOST_PROPERTIES}")
    reference = schema.get("$ref")
    if type(reference) is str and len(reference) > LONGEST_REFERENCE:
        raise Problem(param, f"has a $ref of more than {LONGEST_REFERENCE} characters")
    for name in _ALTERNATIVES:
        alternatives = schema.get(name)
        if type(alternatives) is list and len(alternatives) > MOST_ALTERNATIVES:
            raise Problem(
                param, f"has {len(alternatives)} schemas in {name}; allowed: {MOST_ALTERNATIVES}"
            )
    for name in _COUNTS:
        number = schema.get(name)
        if type(number) is int and not 0 <= number <= 2**31 - 1:
            raise Problem(param, f"has {name}: {str(number)[:32]}")
        if name.startswith("min") and type(number) is int and number > MOST_REPETITIONS:
            raise Problem(param, f"has {name}: {number}; allowed: {MOST_REPETITIONS}")
    pattern = schema.get("pattern")
    if type(pattern) is str:
        regular_expression(pattern, param)


def regular_expression(pattern: Any, param: str) -> None:
    """Check a pattern; its text only, because programs differ in what they support."""
    if type(pattern) is not str:
        raise wrong_type(param, "a regular expression", pattern)
    if len(pattern) > LONGEST_PATTERN:
        raise Problem(
            param, f"has a pattern of {len(pattern)} characters; allowed: {LONGEST_PATTERN}"
        )
    depth = 0
    for character in pattern:
        if character == "(":
            depth += 1
            if depth > DEEPEST_PATTERN:
                raise Problem(param, f"has a pattern with more than {DEEPEST_PATTERN} levels")
        elif character == ")":
            depth -= 1


class _Starts:
    """Counts in how many ways a value of the schema can start.

    Definitions that refer to each other can double the number with each one.
    """

    def __init__(self, schema: dict[str, Any], param: str) -> None:
        self._schema = schema
        self._param = param
        self._known: dict[int, int] = {}
        self._ending: set[int] = set()
        """Schemas whose references lead to something else than a reference."""

    def check(self, referring: Iterable[dict[str, Any]]) -> None:
        """:param referring: all schemas with a reference."""
        for one in referring:
            self._check_chain(one)
        for group in ("$defs", "definitions"):
            definitions = self._schema.get(group)
            if type(definitions) is dict:
                for definition in definitions.values():
                    self._count(definition, 0)
        self._count(self._schema, 0)

    def _count(self, schema: Any, depth: int) -> int:
        if type(schema) is not dict:
            return 1
        if depth > LONGEST_REFERENCES:
            limit = LONGEST_REFERENCES
            raise Problem(self._param, f"has more than {limit} definitions that refer to the next")
        if id(schema) in self._known:
            return self._known[id(schema)]
        # A value may contain another one of its kind, as in trees.
        self._known[id(schema)] = 1
        parts = [one for name in _ALTERNATIVES for one in _list(schema.get(name))]
        if (target := self._target_of(schema)) is not None:
            parts.append(target)
        count = sum(self._count(part, depth + 1) for part in parts) or 1
        if count > MOST_STARTS:
            raise Problem(self._param, f"allows more than {MOST_STARTS} ways to start a value")
        self._known[id(schema)] = count
        return count

    def _check_chain(self, schema: Any) -> None:
        """Raise Problem for references that lead to each other without an end.

        llama-server follows them until its stack is full.
        """
        chain: set[int] = set()
        while schema is not None and id(schema) not in self._ending:
            chain.add(id(schema))
            if len(chain) > LONGEST_REFERENCES:
                limit = LONGEST_REFERENCES
                raise Problem(self._param, f"has a $ref that leads to more than {limit} others")
            following = self._target_of(schema)
            if id(following) in chain:
                raise Problem(self._param, "has a $ref that leads to itself")
            schema = following
        self._ending |= chain

    def _target_of(self, schema: Any) -> Any:
        """What the `$ref` of a schema refers to; None if there is nothing."""
        reference = schema.get("$ref") if type(schema) is dict else None
        return self._target(reference) if type(reference) is str else None

    def _target(self, reference: str) -> Any:
        """The target as llama-server finds it, without escapes; or else that of RFC 6901."""
        parts = reference.removeprefix("#").split("/")[1:]
        target = _follow(self._schema, parts)
        if target is None:
            unescaped = [part.replace("~1", "/").replace("~0", "~") for part in parts]
            target = _follow(self._schema, unescaped)
        return target


def _follow(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if type(value) is dict:
            value = value.get(part)
        elif type(value) is list and (index := _INDEX.match(part)):
            at = int(index[1])
            value = value[at] if at < len(value) else None
        else:
            return None
    return value


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []
