"""Fixtures of the inference tests: a model hub on this machine, a model, settings, and the log."""

import io
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.inference.model.hub import Hub, route_library_logs
from app.inference.settings import Settings, load_settings
from app.shared.json_log import log_to
from tests.doubles.model_hub import FakeHub

MODEL = b"GGUF" + (3).to_bytes(4, "little") + bytes(range(256)) * 16 * 1024
"""Four megabytes with the header of a model."""

LogLines = Callable[[], list[dict[str, Any]]]
MakeSettings = Callable[..., Settings]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(content=MODEL) as serving:
        yield serving


@pytest.fixture
def make_settings(hub: FakeHub, tmp_path: Path) -> MakeSettings:
    """Settings for the fake hub's model; keyword arguments replace or (with None) unset some."""

    def make(**changes: str | None) -> Settings:
        environment = {
            "MODEL_NAME": "phi",
            "MODEL_REPOSITORY": hub.repository,
            "MODEL_FILE": hub.name,
            "MODEL_SHA256": hub.sha256,
            "MODELS_DIR": str(tmp_path / "models"),
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN_FILE": str(tmp_path / "hf_token"),
        }
        changed = environment | changes
        return load_settings({name: value for name, value in changed.items() if value is not None})

    return make


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def pauses() -> list[float]:
    """The pauses between attempts, which the tests skip."""
    return []


@pytest.fixture
def open_hub(pauses: list[float]) -> Callable[[Settings], Callable[[], Hub]]:
    return lambda settings: (
        lambda: Hub(settings.hf_endpoint, settings.hf_token_file, pause=pauses.append)
    )


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    """The parsed log so far: every line must be one JSON object."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:]
    log_to(stream)
    route_library_logs()
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
