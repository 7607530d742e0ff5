"""Log lines of the monitor, as tests read them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from app.shared.json_log import JsonLines

LogLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> LogLines:
    """Returns the lines logged so far."""
    caplog.set_level(logging.INFO)
    return lambda: [json.loads(JsonLines().format(record)) for record in caplog.records]
