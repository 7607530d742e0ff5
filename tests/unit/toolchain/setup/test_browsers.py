"""Browsers for the tests: found on PATH under any of their names, else installed together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.toolchain.setup.conftest import program
from toolchain.project import Project
from toolchain.setup import debian
from toolchain.setup.browsers import Browsers
from toolchain.terminal.progress import Step


def test_browsers_of_other_systems_are_used(project: Project, path: Path) -> None:
    for name in ("google-chrome", "firefox"):
        program(path, name)
    finding = Browsers(project).find()
    assert (finding.ready, finding.what) == (True, f"{path}/google-chrome, {path}/firefox")


def test_only_the_missing_browser_is_installed(
    project: Project, path: Path, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(path, "chromium")
    installed: list[str] = []

    def install(packages: Sequence[str], **more: Any) -> None:
        installed.extend(packages)
        program(path, "firefox-esr")

    monkeypatch.setattr(debian, "install", install)
    browsers = Browsers(project)
    assert browsers.find().what == "installing Firefox"
    assert browsers.make(step) == f"{path}/chromium, {path}/firefox-esr"
    assert installed == ["firefox-esr"]
