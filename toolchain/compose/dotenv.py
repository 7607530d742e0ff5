"""Files of variables: `.env`, and those of `env_file`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from toolchain.compose.interpolation import InterpolationError, Variables
from toolchain.compose.problems import ComposeError, Place, problem
from toolchain.compose.text_file import read_text

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:[=:]\s*(.*))?\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def read_variables(path: Path, shown: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file, in which later lines can use earlier ones.

    :param environment: values that come before those of the file, in its interpolation.
    """
    found: dict[str, str] = {}
    lines = iter(enumerate(read_text(path, shown).split("\n"), start=1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ComposeError(
                [problem(Place(shown, number), "", "is not a variable", allowed="NAME=value")]
            )
        name, text = match[1], match[2]
        if text is None:
            if name in environment:
                found[name] = environment[name]
            continue
        while (quote := text[:1]) in {"'", '"'} and _end_of_quote(text, quote) < 0:
            _, more = next(lines, (0, None))
            if more is None:
                break
            text = f"{text}\n{more}"
        try:
            found[name] = _value(text, {**found, **environment})
        except InterpolationError as error:
            raise ComposeError([problem(Place(shown, number), name, str(error))]) from None
    return found


def _value(text: str, values: Mapping[str, str]) -> str:
    quote = text[:1]
    if quote in {"'", '"'} and (end := _end_of_quote(text, quote)) > 0:
        inner = text[1:end]
        if quote == "'":
            return inner
        inner = re.sub(
            r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), inner, flags=re.DOTALL
        )
        return _interpolated(inner, values)
    return _interpolated(re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip(), values)


def _interpolated(text: str, values: Mapping[str, str]) -> str:
    variables = Variables(values)
    return variables.plain(variables.read(text))


def _end_of_quote(text: str, quote: str) -> int:
    """Where the closing quote is; -1 without one."""
    at = 1
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 1
        elif text[at] == quote:
            return at
        at += 1
    return -1
