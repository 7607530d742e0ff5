"""Compose's variables in text: `${X}`, `${X:-default}`, `${X:?error}`, `${X:+other}`, `$$`.

A text keeps its variables as marks until its use is decided: a password becomes a secret, another
value becomes `${config:…}`, and an image's tag becomes plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Two characters for private use, which no file may contain.
_START, _END = "\U0010e000", "\U0010e001"
_MARK = re.compile(f"{_START}([0-9]+){_END}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST = 20


class InterpolationError(Exception):
    """Why a text cannot be interpolated."""


@dataclass(frozen=True)
class Reference:
    """A variable in a text."""

    name: str
    value: str | None
    """None for one that is not set and has no default."""
    from_default: bool = False


class Variables:
    """The values of variables, and the references to them that texts contain."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self._references: list[Reference] = []
        self.unset: list[str] = []
        """Names of variables without a value, where Compose itself would stop or warn."""

    def read(self, text: str, depth: int = 0) -> str:
        """The text with a mark for each variable; raises `InterpolationError`."""
        if _START in text or _END in text:
            raise InterpolationError("has a character for private use (U+10E000 or U+10E001)")
        if depth > _DEEPEST:
            raise InterpolationError(f"nests more than {_DEEPEST} variables")
        parts, at = [], 0
        while (found := text.find("$", at)) >= 0:
            parts.append(text[at:found])
            part, at = self._variable(text, found + 1, depth)
            parts.append(part)
        return "".join((*parts, text[at:]))

    def of_shell(self, name: str) -> str:
        """A mark for a variable that is passed on from the shell."""
        return self._mark(Reference(name, self.values.get(name)))

    def plain(self, text: str) -> str:
        """The text with the values of its variables, empty for those without one."""
        return _MARK.sub(lambda match: self._references[int(match[1])].value or "", text)

    def parts(self, text: str) -> list[str | Reference]:
        """The text and its variables, in order."""
        pieces = _MARK.split(text)
        found: list[str | Reference] = []
        for position, piece in enumerate(pieces):
            if position % 2:
                found.append(self._references[int(piece)])
            elif piece:
                found.append(piece)
        return found

    def references(self, text: str) -> list[Reference]:
        """The variables in a text."""
        return [part for part in self.parts(text) if isinstance(part, Reference)]

    def _variable(self, text: str, at: int, depth: int) -> tuple[str, int]:
        """What a variable becomes, and where the text goes on."""
        if text[at : at + 1] == "$":
            return "$", at + 1
        if text[at : at + 1] == "{":
            end = _closing_brace(text, at)
            return self._braced(text[at + 1 : end], depth), end + 1
        match = _NAME.match(text, at)
        if match is None:
            raise InterpolationError("has a $ that begins no variable; allowed: $$ for the sign")
        return self._plain_variable(match[0]), match.end()

    def _plain_variable(self, name: str) -> str:
        if name not in self.values:
            self.unset.append(name)
        return self._mark(Reference(name, self.values.get(name)))

    def _braced(self, inner: str, depth: int) -> str:
        match = _NAME.match(inner)
        if match is None:
            raise InterpolationError("has ${ without the name of a variable after it")
        name, rest = match[0], inner[match.end() :]
        if not rest:
            return self._plain_variable(name)
        only_set = not rest.startswith(":")
        operator, word = rest.removeprefix(":")[:1], rest.removeprefix(":")[1:]
        value = self.values.get(name)
        present = value is not None and (only_set or value != "")
        if operator == "-":
            return (
                self._mark(Reference(name, value)) if present else self._default(name, word, depth)
            )
        if operator == "?":
            return self._plain_variable(name)
        if operator == "+":
            return self.read(word, depth + 1) if present else ""
        raise InterpolationError(
            f"has a wrong form of the variable {name}; "
            f"allowed: ${{{name}}}, ${{{name}:-default}}, ${{{name}:?error}}, ${{{name}:+other}}"
        )

    def _default(self, name: str, word: str, depth: int) -> str:
        text = self.read(word, depth + 1)
        if _MARK.search(text):
            return text
        return self._mark(Reference(name, text, from_default=True))

    def _mark(self, reference: Reference) -> str:
        self._references.append(reference)
        return f"{_START}{len(self._references) - 1}{_END}"


def _closing_brace(text: str, at: int) -> int:
    depth = 0
    position = at
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 1
        elif text[position] == "{" and position == at:
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise InterpolationError("has ${ without a closing }")
