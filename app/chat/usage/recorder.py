"""Collects usage in memory, and writes it to the file every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.chat.usage.store import Bucket, Usage, UsageStore
from app.shared.json_log import Log

_log = Log(__name__)

_WRITE_SECONDS = 5.0
_Result = TypeVar("_Result")


def utc_day() -> str:
    """Today, as the file has it."""
    return datetime.now(UTC).date().isoformat()


class UsageRecorder:
    """Usage of this process that is not in the file yet, and the tokens of today of each key.

    The event loop never waits for the disk: one thread writes. While that fails, for example on a
    full disk, usage stays in memory and is written later.

    :param store: None counts in memory only.
    """

    def __init__(
        self,
        store: UsageStore | None,
        today: Callable[[], str] = utc_day,
        seconds: float = _WRITE_SECONDS,
    ) -> None:
        self.problem: str | None = None
        """Why usage cannot be written; None if it can."""
        self._store = store
        self._today = today
        self._seconds = seconds
        self._pending: dict[Bucket, Usage] = {}
        # What the thread is writing, which may or may not be in the file.
        self._writing: dict[Bucket, Usage] = {}
        self._day = today()
        # The tokens in the file, by key; None while the file cannot be read.
        self._stored: dict[str, int] | None = {} if store is None else None
        self._lock = asyncio.Lock()
        self._closing = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="usage")

    def add(self, key: str, model: str, usage: Usage) -> None:
        bucket = Bucket(self._today(), key, model)
        self._pending[bucket] = self._pending.get(bucket, Usage()) + usage

    def tokens_today(self, key: str) -> int | None:
        """The tokens that the key used today; None if the file was never read."""
        today = self._today()
        if self._day != today:
            self._day, self._stored = today, {} if self._stored is not None else None
        if self._stored is None:
            return None
        unwritten = (self._pending, self._writing)
        return self._stored.get(key, 0) + sum(
            usage.tokens
            for buckets in unwritten
            for bucket, usage in buckets.items()
            if bucket.key == key and bucket.day == today
        )

    async def read(self, first_day: str, last_day: str, key: str) -> dict[Bucket, Usage]:
        """The usage of a key, with what is not in the file yet; raises sqlite3.Error."""
        async with self._lock:
            found = (
                await self._in_thread(self._store.read, first_day, last_day, key)
                if self._store is not None
                else {}
            )
            for bucket, usage in self._pending.items():
                if bucket.key == key and first_day <= bucket.day <= last_day:
                    found[bucket] = found.get(bucket, Usage()) + usage
            return found

    async def run(self) -> None:
        """Write until `close`, and then once more."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._seconds)
            await self.write()
        self._thread.shutdown()

    def close(self) -> None:
        self._closing.set()

    async def write(self) -> None:
        """Write what is pending; then read what all gateways wrote today."""
        if self._store is None:
            return
        async with self._lock:
            try:
                if self._pending:
                    await self._write_pending(self._store)
                day = self._today()
                self._stored = await self._in_thread(self._store.tokens_of_day, day)
                self._day = day
            except (sqlite3.Error, OSError) as error:
                self._failed(error)
            else:
                self._succeeded()

    async def _write_pending(self, store: UsageStore) -> None:
        self._writing, self._pending = self._pending, {}
        try:
            await self._in_thread(store.add, self._writing)
        except BaseException:
            for bucket, usage in self._writing.items():
                self._pending[bucket] = usage + self._pending.get(bucket, Usage())
            raise
        else:
            self._count_as_stored(self._writing)
        finally:
            self._writing = {}

    def _count_as_stored(self, written: dict[Bucket, Usage]) -> None:
        if self._stored is None:
            return
        for bucket, usage in written.items():
            if bucket.day == self._day:
                self._stored[bucket.key] = self._stored.get(bucket.key, 0) + usage.tokens

    async def _in_thread(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _failed(self, error: Exception) -> None:
        problem = str(error)
        if problem != self.problem:
            _log.error("usage cannot be written; it stays in memory", reason=problem)
        self.problem = problem

    def _succeeded(self) -> None:
        if self.problem is not None:
            _log.info("usage is written again")
        self.problem = None
