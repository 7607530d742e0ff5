"""Checks of JSON values: each returns if the value is allowed, and raises Problem if it is not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Check = Callable[[Any, str], None]
"""Checks the value of a field. The second argument is the field's path, such as `tools.0.type`."""

_TYPE_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class Problem(ValueError):
    """A value that a client may not send."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"'{param}': {message}")
        self.param = param


def type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "another value")


def wrong_type(param: str, expected: str, value: object) -> Problem:
    return Problem(param, f"must be {expected}, not {type_name(value)}")


def number(low: float, high: float) -> Check:
    """A number in a range; JSON has no others, but its parsers do."""

    def check(value: Any, param: str) -> None:
        if type(value) is not int and type(value) is not float:
            raise wrong_type(param, "a number", value)
        if not low <= value <= high:
            raise Problem(param, f"must be between {low:g} and {high:g}")

    return check


def integer(low: int, high: int) -> Check:
    """An integer in a range; `8.0` is one, as some clients write it."""

    def check(value: Any, param: str) -> None:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            raise Problem(param, "must be an integer")
        if not low <= value <= high:
            raise Problem(param, f"must be between {low} and {high}")

    return check


def text(longest: int, shortest: int = 0) -> Check:
    """A string with a limited number of characters."""

    def check(value: Any, param: str) -> None:
        if type(value) is not str:
            raise wrong_type(param, "a string", value)
        if len(value) > longest:
            raise Problem(param, f"has {len(value)} characters; allowed: {longest}")
        if len(value) < shortest:
            raise Problem(param, "must not be empty")

    return check


def boolean(value: Any, param: str) -> None:
    if type(value) is not bool:
        raise wrong_type(param, "a boolean", value)


def one_of(*allowed: str) -> Check:
    """One of some strings."""

    def check(value: Any, param: str) -> None:
        if value not in allowed:
            raise Problem(param, f"must be one of: {', '.join(allowed)}")

    return check


def items(check: Check, most: int, least: int = 0) -> Check:
    """An array with a limited length."""

    def check_all(value: Any, param: str) -> None:
        if type(value) is not list:
            raise wrong_type(param, "an array", value)
        if len(value) > most:
            raise Problem(param, f"has {len(value)} items; allowed: {most}")
        if len(value) < least:
            raise Problem(param, "must not be empty")
        for index, item in enumerate(value):
            check(item, f"{param}.{index}")

    return check_all


def token_ids(most: int) -> Check:
    """An array of token ids."""

    def check(value: Any, param: str) -> None:
        if type(value) is not list:
            raise wrong_type(param, "an array", value)
        if len(value) > most:
            raise Problem(param, f"has {len(value)} items; allowed: {most}")
        if not set(map(type, value)) <= {int}:
            raise Problem(param, "must have integers only")
        if value and not (min(value) >= 0 and max(value) < 2**31):
            raise Problem(param, "must have token ids only")

    return check


def fields(
    known: Mapping[str, Check], *, required: Collection[str] = (), others: Check | None = None
) -> Check:
    """An object. A field that is null counts as absent.

    :param others: checks fields that are not known; None refuses them.
    """

    def check(value: Any, param: str) -> None:
        if type(value) is not dict:
            raise wrong_type(param, "an object", value)
        for name in required:
            if value.get(name) is None:
                raise Problem(f"{param}.{name}", "is missing")
        for name, item in value.items():
            if item is None:
                continue
            own = known.get(name, others)
            if own is None:
                allowed = ", ".join(known)
                raise Problem(f"{param}.{shown(name)}", f"is not a known field; known: {allowed}")
            own(item, f"{param}.{shown(name)}")

    return check


def by_type(expected: str, **checks: Check) -> Check:
    """A value of one of several types; the names are `text`, `array`, `object`, and so on.

    :param expected: for the message, such as `a string or an array`.
    """
    names = {
        "text": (str,),
        "array": (list,),
        "object": (dict,),
        "boolean": (bool,),
        "number": (int, float),
    }
    of_type = {type_: check for name, check in checks.items() for type_ in names[name]}

    def check(value: Any, param: str) -> None:
        own = of_type.get(type(value))
        if own is None:
            raise wrong_type(param, expected, value)
        own(value, param)

    return check


def refused(reason: str) -> Check:
    """A field that a server knows, but that clients may not send."""

    def check(value: Any, param: str) -> None:
        raise Problem(param, f"is not allowed: {reason}")

    return check


def free(values: int = 1000, depth: int = 16, characters: int = 64 * 1024) -> Check:
    """Any value, with limits on its size and nesting."""

    def check(value: Any, param: str) -> None:
        measure(value, param, values, depth, characters)

    return check


def measure(value: Any, param: str, values: int, depth: int, characters: int) -> None:
    """Raise Problem for a value that is too large, or nested too deeply."""
    left, budget = values, characters
    level = [value]
    for _ in range(depth + 1):
        left -= len(level)
        if left < 0:
            raise Problem(param, f"has more than {values} values")
        nested: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is str:
                budget -= len(one)
            elif kind is list:
                nested += one
            elif kind is dict:
                nested += one.values()
                budget -= sum(map(len, one))
        if budget < 0:
            raise Problem(param, f"has more than {characters} characters")
        if not nested:
            return
        level = nested
    raise Problem(param, f"is nested deeper than {depth} levels")


def shown(name: str) -> str:
    """A field's name for messages; clients may choose long ones."""
    return name if len(name) <= 64 else f"{name[:61]}..."
