"""Programs for the tests: found on PATH, installed or unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.toolchain.setup.conftest import program
from toolchain.project import Project
from toolchain.setup import checking_programs, debian
from toolchain.setup.checking_programs import INSTALLED, PROGRAMS, CheckingPrograms
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step


def test_programs_on_path_are_used(project: Project, path: Path) -> None:
    for name in PROGRAMS:
        program(path, name)
    assert CheckingPrograms(project).find().ready


def test_missing_programs_are_listed(project: Project, path: Path) -> None:
    for name in ("jq", "zsh", "prometheus", "promtool"):
        program(path, name)
    finding = CheckingPrograms(project).find()
    assert (finding.ready, finding.what) == (False, "installing docker-registry, shellcheck")


def test_servers_are_unpacked_and_not_installed(
    project: Project, path: Path, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in INSTALLED:
        program(path, name)
    ran: list[list[str]] = []

    def follow(args: Sequence[str | Path], **options: Any) -> None:
        words = [str(arg) for arg in args]
        ran.append(words)
        if "download" in words:
            (options["cwd"] / f"{words[-1]}_2.8_amd64.deb").touch()
        if "--extract" in words:
            for name in checking_programs.SERVERS[Path(words[-2]).name.partition("_")[0]]:
                program(Path(words[-1]) / "usr" / "bin", name)

    monkeypatch.setattr(checking_programs, "follow", follow)
    monkeypatch.setattr(debian, "here", lambda: True)
    monkeypatch.setattr(debian, "is_root", lambda: False)
    CheckingPrograms(project).make(step)
    assert [words[1] for words in ran] == ["download", "--extract"] * 2
    for name in ("docker-registry", "prometheus", "promtool"):
        assert (project.bin / name).resolve().is_relative_to(project.cache)
    assert CheckingPrograms(project).find().ready


def test_system_without_apt_is_an_error_with_a_fix(
    project: Project, path: Path, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in INSTALLED:
        program(path, name)
    monkeypatch.setattr(debian, "here", lambda: False)
    with pytest.raises(SetupError, match=r"docker-registry .* Put it on PATH"):
        CheckingPrograms(project).make(step)
