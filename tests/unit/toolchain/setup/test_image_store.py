"""The image store: explained where the engine has content, chosen where it is new."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain.setup import image_store
from toolchain.setup.image_store import ImageStore, installed_version, set_classic_store
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import Answer
from toolchain.terminal.progress import Step

CLASSIC = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
CONTAINERD = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}


def test_the_classic_store_is_left_alone() -> None:
    finding = ImageStore(lambda: CLASSIC).find()
    assert finding.ready
    assert finding.what == "the classic one (overlay2)"


def test_the_other_one_ends_the_set_up_with_what_to_do(step: Step) -> None:
    store = ImageStore(lambda: CONTAINERD)
    assert not store.find().ready
    with pytest.raises(SetupError, match="systemctl restart docker"):
        store.make(step)


def test_without_an_engine_nothing_is_known() -> None:
    finding = ImageStore(lambda: None).find()
    assert not finding.ready
    assert finding.what == "not known: the engine does not answer"


def test_a_new_engine_gets_the_classic_store(tmp_path: Path) -> None:
    settings = tmp_path / "docker" / "daemon.json"
    assert set_classic_store(
        tmp_path / "log", root=True, engine_version="29.0.1", settings=settings
    )
    assert json.loads(settings.read_text(encoding="utf-8")) == {
        "features": {"containerd-snapshotter": False}
    }


def test_the_file_that_a_person_wrote_stays(tmp_path: Path) -> None:
    settings = tmp_path / "daemon.json"
    settings.write_text('{"data-root": "/srv"}', encoding="utf-8")
    log = tmp_path / "log"
    assert not set_classic_store(log, root=True, engine_version="29.0.1", settings=settings)
    assert settings.read_text(encoding="utf-8") == '{"data-root": "/srv"}'


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "28.5.2", ""])
def test_an_engine_whose_default_it_is_gets_no_file(tmp_path: Path, version: str) -> None:
    settings = tmp_path / "daemon.json"
    log = tmp_path / "log"
    assert not set_classic_store(log, root=True, engine_version=version, settings=settings)
    assert not settings.exists()


def test_the_version_of_an_engine_that_does_not_run_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "Docker version 29.0.1+dfsg1, build 1234567\n"
    monkeypatch.setattr(image_store, "ask", lambda *_: Answer(0, line, ""))
    assert installed_version() == "29.0.1+dfsg1"
    monkeypatch.setattr(image_store, "ask", lambda *_: Answer(127, "", "no dockerd"))
    assert installed_version() == ""
