"""Problems of compose files: where each is, what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class ComposeError(Exception):
    """All problems that keep compose files from being read."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


def problem(
    place: Place,
    key: str,
    text: str,
    *,
    found: str | None = None,
    allowed: str | None = None,
    run: str | None = None,
) -> str:
    """`FILE:LINE: key.path: problem; found X; allowed: Y; run: Z`.

    A value is never found here, only its type: it may be a secret.
    """
    parts = [
        text,
        *([f"found {found}"] if found else []),
        *([f"allowed: {allowed}"] if allowed else []),
        *([f"run: {run}"] if run else []),
    ]
    return ": ".join((str(place), *([key] if key else []), "; ".join(parts)))


def type_name(value: object) -> str:
    """The type of a value in YAML's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case dict():
            return "a mapping"
        case _:
            return "a list"
