"""The usage of each key, model and day, in a SQLite file.

Several gateways may write to the same file: each adds to the numbers that are there.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# How long a write waits for that of another gateway.
_BUSY_SECONDS = 5.0
_KEPT_DAYS = 400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
    day TEXT NOT NULL,
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (day, key, model)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO usage (day, key, model, requests, prompt_tokens, completion_tokens, seconds)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, key, model) DO UPDATE SET
    requests = requests + excluded.requests,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    seconds = seconds + excluded.seconds
"""
_SELECT = """
SELECT day, key, model, requests, prompt_tokens, completion_tokens, seconds FROM usage
WHERE day BETWEEN ? AND ? AND (? IS NULL OR key = ?) ORDER BY day, key, model
"""
_TOKENS_OF_DAY = """
SELECT key, SUM(prompt_tokens + completion_tokens) FROM usage WHERE day = ? GROUP BY key
"""


class Bucket(NamedTuple):
    """What usage is grouped by; the day in UTC as `2030-01-31`."""

    day: str
    key: str
    model: str


@dataclass(frozen=True)
class Usage:
    """What requests used; `seconds` include the time in the queue."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
        )


class UsageStore:
    """Each method opens the file and raises sqlite3.Error if that fails, as on a full disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, usage: Mapping[Bucket, Usage]) -> None:
        """Add all of it, or nothing."""
        rows = [
            (*bucket, one.requests, one.prompt_tokens, one.completion_tokens, one.seconds)
            for bucket, one in usage.items()
        ]
        with self._open() as connection, connection:
            connection.executemany(_ADD, rows)
            connection.execute(
                "DELETE FROM usage WHERE day < date('now', ?)", (f"-{_KEPT_DAYS} days",)
            )

    def read(self, first_day: str, last_day: str, key: str | None = None) -> dict[Bucket, Usage]:
        """The usage of these days, those included; of all keys without `key`."""
        with self._open_to_read() as connection:
            rows = connection.execute(_SELECT, (first_day, last_day, key, key)).fetchall()
        return {Bucket(*row[:3]): Usage(*row[3:]) for row in rows}

    def tokens_of_day(self, day: str) -> dict[str, int]:
        """The tokens of each key."""
        with self._open_to_read() as connection:
            return dict(connection.execute(_TOKENS_OF_DAY, (day,)).fetchall())

    def copy(self) -> bytes:
        """The content of a file with the same usage, complete also while others write."""
        with (
            self._open_to_read() as connection,
            contextlib.closing(sqlite3.connect(":memory:")) as copy,
        ):
            connection.backup(copy)
            return copy.serialize()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection:
            _use_write_ahead_log(connection)
            # In WAL mode this can lose the last writes at a power failure, and no more.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            yield connection

    @contextlib.contextmanager
    def _open_to_read(self) -> Iterator[sqlite3.Connection]:
        """Also from a read-only volume, where SQLite cannot create its lock files."""
        try:
            with self._open() as connection:
                yield connection
        except sqlite3.OperationalError:
            if not self._path.exists():
                raise
            uri = f"{self._path.absolute().as_uri()}?immutable=1"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
                yield connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.OperationalError if the file stays locked.

    SQLite does not wait for its lock here while another connection makes the same change or
    is the last one to close (https://www.sqlite.org/wal.html, "Sometimes Queries Return
    SQLITE_BUSY In WAL Mode").
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The lowest byte is the primary code (https://www.sqlite.org/rescode.html).
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
