"""Writes the log as JSON lines on standard output: `time`, `level`, `message`, then fields.

All images use it except the restarter, which holds only its own code and writes the same form.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)


class JsonLines(logging.Formatter):
    """Formats a record; `extra={"fields": {…}}` adds fields, and an exception its `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class Log:
    """A logger whose keyword arguments are the fields; a field with the value None is omitted."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, **fields: object) -> None:
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, **fields: object) -> None:
        self._write(logging.ERROR, message, fields)

    def exception(self, message: str, **fields: object) -> None:
        """Log an error with the traceback of the current exception."""
        self._write(logging.ERROR, message, fields, traceback=True)

    def _write(
        self, level: int, message: str, fields: dict[str, object], *, traceback: bool = False
    ) -> None:
        given = {name: value for name, value in fields.items() if value is not None}
        self._logger.log(level, message, extra={"fields": given}, exc_info=traceback)


def log_to(stream: TextIO = sys.stdout, level: int = logging.INFO) -> None:
    """Send the log of this process and its libraries to a stream."""
    # The lines have none of this, and finding it takes longer than the rest of a line.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
