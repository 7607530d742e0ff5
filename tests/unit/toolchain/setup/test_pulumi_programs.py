"""Where pulumi comes from, and that half a build is never used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toolchain import versions
from toolchain.offline import go_modules
from toolchain.project import Project
from toolchain.setup import official_release
from toolchain.setup.pulumi_programs import PulumiPrograms, cache_folder, fits
from toolchain.terminal.progress import Step

PROGRAMS = official_release.PROGRAMS


@pytest.fixture
def modules(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A checkout with module files, on a machine without pulumi that reaches no release."""
    folder = project.modules / "pulumi-cli"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module a\n")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(official_release, "reachable", lambda: False)
    return project


def build(project: Project, target: Path, step: Step) -> None:
    for program in (*PROGRAMS, "pulumi-resource-docker"):
        (target / program).write_text(program)


def test_another_module_file_means_another_build(modules: Project) -> None:
    before = cache_folder(modules)
    assert cache_folder(modules) == before
    (modules.modules / "pulumi-cli" / "go.sum").write_text("a h1:b\n")
    assert cache_folder(modules) != before


def test_what_cannot_be_downloaded_is_built(
    modules: Project, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(go_modules, "build", build)
    assert "Go modules" in PulumiPrograms(modules).find().what
    PulumiPrograms(modules).make(step)
    assert PulumiPrograms(modules).find().ready
    assert (modules.bin / "pulumi").read_text() == "pulumi"
    assert modules.built_plugin.exists()
    assert not (modules.bin / "pulumi-resource-docker").exists(), "it would shadow the plugin"


def test_a_second_checkout_uses_what_the_first_built(
    modules: Project, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(go_modules, "build", build)
    PulumiPrograms(modules).make(step)
    monkeypatch.setattr(go_modules, "build", pytest.fail)
    second = Project(root=modules.root.with_name("second"), cache=modules.cache)
    shutil.copytree(modules.modules, second.modules)
    assert "built before" in PulumiPrograms(second).find().what
    PulumiPrograms(second).make(step)
    assert PulumiPrograms(second).find().ready


def test_a_build_that_was_cut_off_leaves_nothing_behind(
    modules: Project, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(project: Project, target: Path, step: Step) -> None:
        (target / "pulumi").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(go_modules, "build", cut_off)
    with pytest.raises(KeyboardInterrupt):
        PulumiPrograms(modules).make(step)
    assert not PulumiPrograms(modules).find().ready
    assert list(cache_folder(modules).parent.iterdir()) == []


def test_an_own_pulumi_that_is_new_enough_is_used(
    modules: Project, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for program in PROGRAMS:
        (own / program).write_text(f"#!/bin/sh\necho v{versions.PULUMI}\n")
        (own / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(own))
    PulumiPrograms(modules).make(step)
    assert (modules.bin / "pulumi").resolve() == own / "pulumi"
    assert not modules.built_plugin.exists()


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (f"v{versions.PULUMI}", True),
        ("v3.999.0\n", True),
        ("v3.1.0", False),
        ("v4.0.0", False),
        ("command not found", False),
    ],
)
def test_an_own_pulumi_must_not_be_older_than_the_sdk(version: str, answer: bool) -> None:
    assert fits(version) is answer


def test_how_far_a_build_is_can_be_seen() -> None:
    notes: list[str] = []
    read = go_modules.building_note("pulumi", notes.append)
    for line in (
        "go: downloading example.com/a v1.0.0",
        "example.com/a/b",
        "# example.com/a",
        "fmt",
    ):
        read(line)
    assert notes == [
        "pulumi: 1 modules downloaded, now example.com/a",
        "pulumi: 1 packages compiled, now example.com/a/b",
        "pulumi: 2 packages compiled, now fmt",
    ]
