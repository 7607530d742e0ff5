"""Tests of reading changed files while a program runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from app.shared.settings_file import SettingsError, Strict, parse_settings
from app.shared.watched_file import Watched, watched_file


class Numbers(Strict):
    numbers: tuple[int, ...]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps({"numbers": [1]}))
    return path


def watched(path: Path, seen: list[tuple[int, ...]]) -> Watched[Numbers]:
    return watched_file(
        path,
        lambda content: parse_settings(content, Numbers, str(path)),
        lambda value: seen.append(value.numbers),
    )


def test_changed_content_is_applied_once(path: Path) -> None:
    seen: list[tuple[int, ...]] = []
    file = watched(path, seen)
    assert file.first().numbers == (1,)
    asyncio.run(file.check())
    assert seen == []
    path.write_text(json.dumps({"numbers": [1, 2]}))
    asyncio.run(file.check())
    asyncio.run(file.check())
    assert seen == [(1, 2)]
    assert file.problem is None


@pytest.mark.parametrize("broken", ['{"numbers": [1, 2', "", '{"numbers": ["x"]}', None])
def test_an_invalid_file_keeps_the_value_until_it_is_valid(
    path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[int, ...]] = []
    file = watched(path, seen)
    file.first()
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    for _ in range(3):
        asyncio.run(file.check())
    assert seen == []
    assert file.problem is not None
    assert len([one for one in caplog.records if "not valid" in one.message]) == 1
    path.write_text(json.dumps({"numbers": [3]}))
    asyncio.run(file.check())
    assert seen == [(3,)]
    assert not file.problem


def test_the_earlier_content_ends_the_problem(path: Path) -> None:
    file = watched(path, [])
    file.first()
    content = path.read_bytes()
    path.write_text("{")
    asyncio.run(file.check())
    assert file.problem is not None
    path.write_bytes(content)
    asyncio.run(file.check())
    assert file.problem is None


def test_a_value_that_cannot_be_applied_is_tried_again(path: Path) -> None:
    seen: list[int] = []

    def apply(value: Numbers) -> None:
        seen.append(len(seen))
        if len(seen) == 1:
            raise RuntimeError("not now")

    file = watched_file(path, lambda content: parse_settings(content, Numbers, "x"), apply)
    file.first()
    path.write_text(json.dumps({"numbers": []}))
    asyncio.run(file.check())
    assert file.problem == "cannot be applied: RuntimeError"
    asyncio.run(file.check())
    assert len(seen) == 2
    assert not file.problem


def test_the_first_value_has_to_be_valid(path: Path) -> None:
    path.write_text("{")
    with pytest.raises(SettingsError, match="is not JSON"):
        watched(path, []).first(patience=0.2)
    path.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        watched(path, []).first(patience=0)
