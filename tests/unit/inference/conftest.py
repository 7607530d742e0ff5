"""Fixtures of the inference tests: a model hub on this machine, a model, settings, and the log."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.inference.model.hub import Hub, route_library_logs
from app.inference.model.model import ReadyFiles, obtain_files
from app.inference.settings import ModelSettings
from app.shared.json_log import log_to
from tests.doubles.model_hub import FakeHub
from tests.ports import free_port

MODEL = b"GGUF" + (3).to_bytes(4, "little") + bytes(range(256)) * 16 * 1024
"""Four megabytes with the header of a model."""

LogLines = Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class Given:
    """The settings of a start."""

    model: ModelSettings
    models_dir: Path
    token_file: Path

    def obtain(
        self, hub: Callable[[], Hub], report: Callable[[str], None] = lambda step: None
    ) -> Path:
        """The path of the model, ready to serve."""
        return self.obtain_all(hub, report).model

    def obtain_all(
        self, hub: Callable[[], Hub], report: Callable[[str], None] = lambda step: None
    ) -> ReadyFiles:
        return obtain_files(self.model, self.models_dir, hub, report)


MakeSettings = Callable[..., Given]
OpenHub = Callable[[Given], Callable[[], Hub]]


def model_settings(*files: dict[str, Any], **changes: Any) -> ModelSettings:
    """The settings in a model.json with these files."""
    return ModelSettings.model_validate({"name": "phi", "files": files, **changes})


def write_config(folder: Path, *files: dict[str, Any], **changes: Any) -> Path:
    """Write a model.json with these files; returns its path."""
    config = folder / "model.json"
    config.write_text(json.dumps({"name": "phi", "files": files, **changes}))
    return config


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(content=MODEL) as serving:
        yield serving


@pytest.fixture
def make_settings(hub: FakeHub, tmp_path: Path) -> MakeSettings:
    """Settings for the fake hub's model; keyword arguments replace or (with None) unset keys of
    its file."""

    def make(
        *more: dict[str, Any],
        hub_url: str | None = None,
        models_dir: Path = tmp_path / "models",
        **changes: Any,
    ) -> Given:
        file = {
            "repository": hub.repository,
            "file": hub.name,
            "sha256": hub.sha256,
            **changes,
        }
        given = {name: value for name, value in file.items() if value is not None}
        model = model_settings(given, *more, hub=hub_url or hub.endpoint)
        return Given(model, models_dir, tmp_path / "hf_token")

    return make


@pytest.fixture(name="free_port")
def a_free_port() -> int:
    return free_port()


@pytest.fixture
def pauses() -> list[float]:
    """The pauses between attempts, which the tests skip."""
    return []


@pytest.fixture
def open_hub(pauses: list[float]) -> OpenHub:
    return lambda given: lambda: Hub(given.model.hub, given.token_file, pause=pauses.append)


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
