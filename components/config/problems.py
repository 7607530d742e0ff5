"""Problems in the files that a user wrote: where each is, what was found, what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from components.config.yaml_document import YamlDocument

Key = tuple[str | int, ...]
"""Keys and indexes that lead from the top of a file to a value."""


@dataclass(frozen=True)
class Problem:
    """One line of a refusal: `FILE:LINE: key.path: problem; found X; allowed: Y; run: Z`."""

    source: str
    """The file, or what else is wrong: `Docker Engine`."""
    key: str
    text: str
    line: int | None = None
    found: str | None = None
    """The value at that key, as Python shows it, and nothing else."""
    allowed: str | None = None
    run: str | None = None
    """The command that fixes it."""
    location: Key = ()
    """The key, in parts."""

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        parts = [
            self.text,
            *([f"found {self.found}"] if self.found is not None else []),
            *([self.allowed] if self.allowed is not None else []),
            *([f"run: {self.run}"] if self.run is not None else []),
        ]
        return ": ".join((place, *([self.key] if self.key else []), "; ".join(parts)))


class SettingsError(Exception):
    """All problems of a configuration; `str()` of it is what the user reads."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def ensure_none(problems: Iterable[Problem]) -> None:
    """Raise `SettingsError` if there is any problem."""
    if found := tuple(problems):
        raise SettingsError(found)


@dataclass(frozen=True)
class Source:
    """A file of settings, for problems that name its lines."""

    name: str
    prefix: str = ""
    """Stands before each key, as Pulumi's own `project:key` does."""
    document: YamlDocument | None = None
    """None where there is no such file: settings may come from elsewhere too."""
    root: Key = ()
    """Where in the document the keys begin."""

    def problem(
        self,
        key: Key,
        text: str,
        *,
        found: object = None,
        allowed: str | None = None,
        run: str | None = None,
    ) -> Problem:
        """A problem of the value at `key`, or of the key itself.

        :param found: the value; None where there is none to show.
        :param allowed: with its introduction `allowed: `, as `choices` gives it.
        """
        return Problem(
            source=self.name,
            key=f"{self.prefix}{'.'.join(map(str, key))}" if key else self.prefix.rstrip(":"),
            text=text,
            line=self._line(key),
            found=None if found is None else shown(found),
            allowed=allowed,
            run=run,
            location=key,
        )

    def set_command(self, key: Key) -> str | None:
        """The command that sets a value; None for a file that a person edits."""
        return f"pulumi config set --path '{self._path(key)}' <value>" if self.prefix else None

    def remove_command(self, key: Key) -> str | None:
        """The command that removes a key; None for a file that a person edits."""
        return f"pulumi config rm --path '{self._path(key)}'" if self.prefix else None

    def _path(self, key: Key) -> str:
        """A property path of Pulumi's."""
        first, *rest = key
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
        return f"{self.prefix}{first}{''.join(parts)}"

    def _line(self, key: Key) -> int | None:
        if self.document is None:
            return None
        first = (f"{self.prefix}{key[0]}", *key[1:]) if key else ()
        return self.document.line((*self.root, *first))


def shown(value: object) -> str:
    """A value as it was found, without the user name and password of a URL in it."""
    return re.sub(r"://\S*@", "://…@", repr(value))


def choices(found: str, options: Iterable[str]) -> str:
    """The allowed values, and the nearest to what was found."""
    known = sorted(options)
    listed = f"allowed: {', '.join(known) or 'none'}"
    near = difflib.get_close_matches(found, known, n=1)
    return f"did you mean {near[0]!r}? {listed}" if near else listed
