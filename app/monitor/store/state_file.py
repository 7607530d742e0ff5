"""A JSON file that survives a restart of the monitor, and is replaced in one step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from app.shared.json_log import Log

log = Log("monitor")

Content = TypeVar("Content")


class StateFile(Generic[Content]):
    """A file with one value of one type."""

    def __init__(self, path: Path, adapter: TypeAdapter[Content]) -> None:
        self._path = path
        self._adapter = adapter

    def load(self) -> Content | None:
        """The value, or None without a usable file. An unreadable file is renamed, so that the
        monitor starts whatever is on the disk."""
        try:
            return self._adapter.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("state file unreadable", file=self._path.name, reason=str(error)[:300])
            self._rename()
            return None

    def _rename(self) -> None:
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
