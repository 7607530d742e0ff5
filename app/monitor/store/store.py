"""What survives a restart of the monitor: JSON files, each replaced in one step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from app.shared.json_log import Log

log = Log("monitor")

Content = TypeVar("Content")


class Store(Generic[Content]):
    """A file that holds one value of one type."""

    def __init__(self, path: Path, adapter: TypeAdapter[Content]) -> None:
        self._path = path
        self._adapter = adapter

    def load(self) -> Content | None:
        """The value, or None where there is none yet. A file that cannot be understood is set
        aside under another name: a monitor must start whatever its last life left behind."""
        try:
            return self._adapter.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("state file unreadable", file=self._path.name, reason=str(error)[:300])
            self._set_aside()
            return None

    def _set_aside(self) -> None:
        try:
            self._path.replace(self._path.with_suffix(".unreadable"))
        except OSError as error:
            log.warning("state file not renamed", file=self._path.name, reason=str(error))

    def save(self, content: Content) -> None:
        """Write the value so that a crash leaves the old file or the new one; raises OSError."""
        data = self._adapter.dump_json(content)
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
