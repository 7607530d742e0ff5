"""Log lines: one JSON object a line on standard output."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def log(event: str, level: str = "info", **fields: object) -> None:
    """Write a line. `event` names what happened in one word; fields of value None are left out."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line: dict[str, object] = {"time": now, "level": level, "event": event}
    line.update((key, value) for key, value in fields.items() if value is not None)
    sys.stdout.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()
