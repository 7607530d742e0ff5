"""The SQLite file with the usage: several writers, full disks, read-only folders."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.chat.usage.__main__ import main
from app.chat.usage.recorder import UsageRecorder, utc_day
from app.chat.usage.store import Bucket, Usage, UsageStore

ONE = Usage(1, 10, 5, 0.5)


class BrokenStore(UsageStore):
    """A file on a disk that is full until the test empties it."""

    broken = True

    def add(self, usage: Mapping[Bucket, Usage]) -> None:
        if self.broken:
            raise sqlite3.OperationalError("database or disk is full")
        super().add(usage)


def day(ago: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=ago)).isoformat()


def test_several_writers_add_to_the_same_numbers(tmp_path: Path) -> None:
    stores = [UsageStore(tmp_path / "usage.sqlite") for _ in range(4)]
    bucket = Bucket(day(0), "alice", "m")
    with ThreadPoolExecutor(4) as pool:
        # The list raises what a writer raised.
        list(pool.map(lambda store: store.add({bucket: ONE}), stores * 25))
    assert stores[0].read(day(0), day(0)) == {bucket: Usage(100, 1000, 500, 50.0)}


def test_gateways_that_start_together_share_a_new_file(tmp_path: Path) -> None:
    bucket = Bucket(day(0), "alice", "m")
    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            stores = [UsageStore(tmp_path / f"{number}.sqlite") for _ in range(4)]
            list(pool.map(lambda store: store.add({bucket: ONE}), stores))
            assert stores[0].read(day(0), day(0))[bucket].requests == 4


def test_usage_is_read_by_day_and_key(tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "usage.sqlite")
    buckets = [Bucket(day(ago), key, "m") for ago in (0, 1, 2) for key in ("alice", "bob")]
    store.add(dict.fromkeys(buckets, ONE))
    assert set(store.read(day(1), day(0), "bob")) == {buckets[1], buckets[3]}
    assert store.tokens_of_day(day(1)) == {"alice": 15, "bob": 15}


def test_a_backup_has_what_other_gateways_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "usage.sqlite"
    bucket = Bucket(day(0), "alice", "m")
    store = UsageStore(path)
    store.add({bucket: ONE})
    # An open reader keeps what is written from the file itself: it is in the log beside it.
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN").connection.execute("SELECT * FROM usage").fetchone()
        store.add({bucket: ONE})
        monkeypatch.setenv("USAGE_FILE", str(path))
        assert main(["--backup"]) == 0
    copied = tmp_path / "copy.sqlite"
    copied.write_bytes(capsysbinary.readouterr().out)
    restored = UsageStore(copied)
    restored.add({bucket: ONE})
    assert restored.read(day(0), day(0))[bucket].requests == 3


def test_days_of_more_than_a_year_ago_are_removed(tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "usage.sqlite")
    store.add({Bucket(day(500), "alice", "m"): ONE, Bucket(day(300), "alice", "m"): ONE})
    assert [bucket.day for bucket in store.read("2000-01-01", day(0))] == [day(300)]


def test_a_file_that_sqlite_cannot_lock_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    UsageStore(path).add({Bucket(day(0), "alice", "m"): ONE})
    # Root may write to read-only folders, so the test makes the lock file impossible.
    (tmp_path / "usage.sqlite-shm").unlink(missing_ok=True)
    (tmp_path / "usage.sqlite-wal").unlink(missing_ok=True)
    (tmp_path / "usage.sqlite-wal").mkdir()
    store = UsageStore(path)
    with pytest.raises(sqlite3.OperationalError):
        store.add({Bucket(day(0), "alice", "m"): ONE})
    assert store.tokens_of_day(day(0)) == {"alice": 15}


async def test_usage_of_a_full_disk_is_written_once_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = BrokenStore(tmp_path / "usage.sqlite")
    recorder = UsageRecorder(store)
    for _ in range(3):
        recorder.add("alice", "m", ONE)
        await recorder.write()
    assert recorder.problem == "database or disk is full"
    store.broken = False
    await recorder.write()
    assert recorder.problem is None
    assert store.tokens_of_day(utc_day()) == {"alice": 45}
    assert recorder.tokens_today("alice") == 45


async def test_tokens_of_today_are_unknown_until_the_file_was_read(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    path.write_bytes(b"this is not a database, but longer than the head of one" * 100)
    recorder = UsageRecorder(UsageStore(path))
    await recorder.write()
    assert recorder.tokens_today("alice") is None
    assert recorder.problem is not None
    path.unlink()
    await recorder.write()
    assert recorder.tokens_today("alice") == 0


async def test_a_gateway_counts_the_tokens_of_another_one(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    one, two = UsageRecorder(UsageStore(path)), UsageRecorder(UsageStore(path))
    one.add("alice", "m", ONE)
    await one.write()
    two.add("alice", "m", ONE)
    await two.write()
    two.add("alice", "n", ONE)
    assert two.tokens_today("alice") == 45
    found = await two.read(utc_day(), utc_day(), "alice")
    assert {bucket.model: usage.requests for bucket, usage in found.items()} == {"m": 2, "n": 1}


async def test_a_new_day_begins_at_zero() -> None:
    days = ["2030-01-31"]
    recorder = UsageRecorder(None, today=lambda: days[0])
    recorder.add("alice", "m", ONE)
    assert recorder.tokens_today("alice") == 15
    days[0] = "2030-02-01"
    assert recorder.tokens_today("alice") == 0


async def test_what_is_left_is_written_at_the_end(tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "usage.sqlite")
    recorder = UsageRecorder(store, seconds=3600)
    running = asyncio.create_task(recorder.run())
    await asyncio.sleep(0)
    recorder.add("alice", "m", ONE)
    recorder.close()
    await asyncio.wait_for(running, 10)
    assert store.tokens_of_day(utc_day()) == {"alice": 15}
