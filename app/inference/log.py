"""Logging of the inference container: one JSON object a line on standard output."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO


class JsonLines(logging.Formatter):
    """Formats a record as `time`, `level`, `message` and what `extra={"fields": …}` holds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(stream: TextIO = sys.stdout) -> None:
    """Sends every logger of this process, those of libraries included, to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # It brings a handler of its own, which writes plain text.
    library = logging.getLogger("huggingface_hub")
    library.handlers.clear()
    library.propagate = True
    # One line per HTTP request says nothing that the progress lines do not.
    for chatty in ("httpx2", "httpcore2", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def info(message: str, **fields: object) -> None:
    logging.getLogger("inference").info(message, extra={"fields": fields})


def warning(message: str, **fields: object) -> None:
    logging.getLogger("inference").warning(message, extra={"fields": fields})


def error(message: str, **fields: object) -> None:
    logging.getLogger("inference").error(message, extra={"fields": fields})
