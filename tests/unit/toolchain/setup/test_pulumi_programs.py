"""Pulumi's programs: on PATH, downloaded or built; never an incomplete build."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toolchain import versions
from toolchain.offline import go_modules
from toolchain.project import Project
from toolchain.setup import fallback, official_release
from toolchain.setup.pulumi_programs import PulumiPrograms, fits, release_folder
from toolchain.terminal.progress import Step

PROGRAMS = official_release.PROGRAMS


@pytest.fixture
def modules(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A checkout with module files, on a machine without pulumi or access to its releases."""
    folder = project.modules / "pulumi-cli"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module a\n")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(official_release, "reachable", lambda: False)
    return project


def build(project: Project, target: Path, step: Step) -> None:
    for program in (*PROGRAMS, "pulumi-resource-docker"):
        (target / program).write_text(program)


def test_programs_are_built_if_they_cannot_be_downloaded(
    modules: Project, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(go_modules, "build", build)
    assert "Go modules" in PulumiPrograms(modules).find().what
    PulumiPrograms(modules).make(step)
    assert PulumiPrograms(modules).find().ready
    assert (modules.bin / "pulumi").read_text() == "pulumi"
    assert modules.built_plugin.exists()
    assert not (modules.bin / "pulumi-resource-docker").exists(), (
        "pulumi would use it instead of the plugin"
    )


def test_second_checkout_uses_the_build_of_the_first(
    modules: Project, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(go_modules, "build", build)
    PulumiPrograms(modules).make(step)
    monkeypatch.setattr(go_modules, "build", pytest.fail)
    second = Project(root=modules.root.with_name("second"), cache=modules.cache)
    shutil.copytree(modules.modules, second.modules)
    assert "this machine's cache" in PulumiPrograms(second).find().what
    PulumiPrograms(second).make(step)
    assert PulumiPrograms(second).find().ready


def test_interrupted_build_leaves_nothing_behind(
    modules: Project, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(project: Project, target: Path, step: Step) -> None:
        (target / "pulumi").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(go_modules, "build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        PulumiPrograms(modules).make(step)
    assert not PulumiPrograms(modules).find().ready
    assert list(modules.programs.iterdir()) == []


def test_installed_pulumi_is_used_if_it_is_new_enough(
    modules: Project, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    for program in PROGRAMS:
        (installed / program).write_text(f"#!/bin/sh\necho v{versions.PULUMI}\n")
        (installed / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(installed))
    PulumiPrograms(modules).make(step)
    assert (modules.bin / "pulumi").resolve() == installed / "pulumi"
    assert not modules.built_plugin.exists()


@pytest.mark.parametrize(
    ("version", "fitting"),
    [
        (f"v{versions.PULUMI}", True),
        ("v3.999.0\n", True),
        ("v3.1.0", False),
        ("v4.0.0", False),
        ("command not found", False),
    ],
)
def test_installed_pulumi_must_not_be_older_than_the_sdk(version: str, fitting: bool) -> None:
    assert fits(version) is fitting


def test_download_does_not_load_the_offline_package(
    modules: Project, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(folder: Path, step: Step) -> None:
        for program in PROGRAMS:
            (folder / program).write_text(program)

    monkeypatch.setattr(official_release, "reachable", lambda: True)
    monkeypatch.setattr(official_release, "install", install)
    monkeypatch.setattr(fallback, "programs_folder", pytest.fail)
    monkeypatch.setattr(fallback, "build_programs", pytest.fail)
    assert "downloading" in PulumiPrograms(modules).find().what
    PulumiPrograms(modules).make(step)
    assert PulumiPrograms(modules).find().ready
    assert (modules.bin / "pulumi").resolve() == release_folder(modules) / "bin" / "pulumi"
    assert not modules.built_plugin.exists()
