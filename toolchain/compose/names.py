"""Names of services, volumes, secrets and values in the form that the catalogue allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

LONGEST_NAME = 40
LONGEST_SECRET = 64
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")


def is_name(text: str) -> bool:
    """Whether a text is a valid name of a service, a volume or a build."""
    return _NAME.fullmatch(text) is not None


def name_of(text: str) -> str:
    """A valid name that is as near as possible to a text."""
    if is_name(text):
        return text
    name = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9]+", "-", text.lower())).strip("-")
    if not name[:1].isalpha():
        name = f"n{name}" if name else "unnamed"
    name = name[:LONGEST_NAME].strip("-")
    return name if len(name) > 1 else f"{name}-1"


def volume_name(text: str) -> str:
    """A valid name of a volume, which may have _ and . too."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,62}", text):
        return text
    return name_of(text)


def secret_name(variable: str) -> str:
    """The name of a secret or of a value for a variable: `postgres-password`."""
    name = re.sub(r"[^a-z0-9]+", "-", variable.lower()).strip("-")
    name = re.sub(r"^[^a-z]+", "", name)[:LONGEST_SECRET].strip("-")
    return name or "secret"


def kept_secret_name(text: str) -> str:
    """The name of one of Compose's own secrets, kept where it is valid."""
    if re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", text):
        return text
    return secret_name(text)


class FreeNames:
    """Gives each thing a name that nothing else has."""

    def __init__(
        self,
        taken: Collection[str],
        prefix: str,
        form: Callable[[str], str] = name_of,
        longest: int = LONGEST_NAME,
    ) -> None:
        self._taken = set(taken)
        self._prefix = prefix
        self._form = form
        self._longest = longest

    def take(self, text: str, second: str | None = None) -> str:
        """A free name: the text's own, or one with the project's name before it.

        :param second: the text to form the name of where its own is taken.
        """
        own = self._form(text)
        candidates = [own, self._form(f"{self._prefix}-{second or own}")]
        candidates += [
            f"{candidates[-1][: self._longest - 3].rstrip('-')}-{number}" for number in range(2, 99)
        ]
        name = next(name for name in candidates if name not in self._taken)
        self._taken.add(name)
        return name
