"""What becomes of one service: its entry, and what the report has of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Loss:
    """A key that cannot be carried, the reason, and the way to do it instead."""

    key: str
    reason: str
    instead: str


@dataclass(frozen=True)
class CopiedFile:
    """A file or folder of the compose project that belongs into catalog/."""

    source: Path
    target: str
    """From the project's root."""
    content: str | None = None
    """Of a file that the compose file itself holds."""


@dataclass
class Outcome:
    """The entry of one service, and how it differs from the compose file."""

    original: str
    """Its name in the compose file."""
    name: str
    profiles: tuple[str, ...] = ()
    entry: dict[str, Any] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)
    """Keys with the same meaning as before."""
    changes: list[tuple[str, str]] = field(default_factory=list)
    """Keys, and what is different and why."""
    losses: list[Loss] = field(default_factory=list)
    """Parts that are left out; the rest of the service is carried."""
    obstacles: list[Loss] = field(default_factory=list)
    """What keeps the whole service from being carried."""
    replaced: Loss | None = None
    """What the stack itself does in place of the service."""
    todo: list[str] = field(default_factory=list)
    """What has to be done by hand before the service can run."""
    files: list[CopiedFile] = field(default_factory=list)

    @property
    def written(self) -> bool:
        """Whether the service has an entry in the catalogue."""
        return not self.obstacles and self.replaced is None

    def carry(self, key: str, value: object) -> None:
        """Put a key with the same meaning as before."""
        self.entry[key] = value
        self.carried.append(key)

    def change(self, key: str, text: str) -> None:
        self.changes.append((key, text))

    def lose(self, key: str, reason: str, instead: str) -> None:
        self.losses.append(Loss(key, reason, instead))

    def refuse(self, key: str, reason: str, instead: str) -> None:
        self.obstacles.append(Loss(key, reason, instead))
