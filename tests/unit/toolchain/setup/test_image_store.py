"""The image store: an error with a fix for an engine with content, selected for a new engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain.setup import image_store
from toolchain.setup.image_store import ImageStore, installed_version, set_classic_store
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import Result
from toolchain.terminal.progress import Step

CLASSIC = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
CONTAINERD = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}


def test_classic_store_is_ready() -> None:
    finding = ImageStore(lambda: CLASSIC).find()
    assert finding.ready
    assert finding.what == "the classic one (overlay2)"


def test_containerd_store_is_an_error_with_a_fix(step: Step) -> None:
    store = ImageStore(lambda: CONTAINERD)
    assert not store.find().ready
    with pytest.raises(SetupError, match="systemctl restart docker"):
        store.make(step)


def test_store_is_unknown_without_an_engine() -> None:
    finding = ImageStore(lambda: None).find()
    assert not finding.ready
    assert finding.what == "unknown: the engine does not respond"


def test_new_engine_gets_the_classic_store(tmp_path: Path) -> None:
    settings = tmp_path / "docker" / "daemon.json"
    assert set_classic_store(
        tmp_path / "log", root=True, engine_version="29.0.1", settings=settings
    )
    assert json.loads(settings.read_text(encoding="utf-8")) == {
        "features": {"containerd-snapshotter": False}
    }


def test_file_of_the_user_is_kept(tmp_path: Path) -> None:
    settings = tmp_path / "daemon.json"
    settings.write_text('{"data-root": "/srv"}', encoding="utf-8")
    log = tmp_path / "log"
    assert not set_classic_store(log, root=True, engine_version="29.0.1", settings=settings)
    assert settings.read_text(encoding="utf-8") == '{"data-root": "/srv"}'


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "28.5.2", ""])
def test_engine_with_the_classic_default_gets_no_file(tmp_path: Path, version: str) -> None:
    settings = tmp_path / "daemon.json"
    log = tmp_path / "log"
    assert not set_classic_store(log, root=True, engine_version=version, settings=settings)
    assert not settings.exists()


def test_version_of_an_engine_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "Docker version 29.0.1+dfsg1, build 1234567\n"
    monkeypatch.setattr(image_store, "capture", lambda *_: Result(0, line, ""))
    assert installed_version() == "29.0.1+dfsg1"
    monkeypatch.setattr(image_store, "capture", lambda *_: Result(127, "", "no dockerd"))
    assert installed_version() == ""
