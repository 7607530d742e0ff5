"""Log lines: the schema that the docs promise, one JSON object a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.shared.json_log import Log, log_to

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log_to(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_has_time_level_message_then_its_fields(lines: Lines) -> None:
    Log("test").warning("the disk is nearly full", free_bytes=10, path="/models", model=None)
    [line] = lines()
    assert list(line) == ["time", "level", "message", "free_bytes", "path"]
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
    assert (line["level"], line["message"]) == ("warning", "the disk is nearly full")
    assert (line["free_bytes"], line["path"]) == (10, "/models")


def test_each_level_has_its_name(lines: Lines) -> None:
    log = Log("test")
    log.info("one")
    log.warning("two")
    log.error("three")
    assert [line["level"] for line in lines()] == ["info", "warning", "error"]


def test_an_exception_adds_its_traceback_on_the_same_line(lines: Lines) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        Log("test").exception("unexpected failure", model="phi")
    [line] = lines()
    assert (line["level"], line["model"]) == ("error", "phi")
    assert "ValueError: broken" in line["traceback"]


def test_lines_of_libraries_have_the_same_form(lines: Lines) -> None:
    logging.getLogger("some.library").error("connection %s\nlost", 7)
    assert [(line["level"], line["message"]) for line in lines()] == [
        ("error", "connection 7\nlost")
    ]


def test_values_that_json_cannot_hold_are_written_as_text(lines: Lines) -> None:
    Log("test").info("ready", reason=OSError("refused"), name="Ä")
    assert lines()[0]["reason"] == "refused"
    assert lines()[0]["name"] == "Ä"
