"""Builds of Pulumi's programs: compiler flags, memory, cache folder, progress."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolchain.offline.go_modules import (
    COMPILER_BYTES,
    available_bytes,
    build_flags,
    building_note,
    go_environment,
    programs_folder,
)
from toolchain.project import Project


def test_number_of_compilers_is_limited_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert build_flags(100 * COMPILER_BYTES)[-1] == "-p=4"
    assert build_flags(3 * COMPILER_BYTES - 1)[-1] == "-p=2"
    assert build_flags(1)[-1] == "-p=1"
    assert not any(flag.startswith("-p=") for flag in build_flags(None)), "Go's default"


def test_packages_of_each_update_are_optimized() -> None:
    compiler = [flag for flag in build_flags(None) if flag.startswith("-gcflags=")]
    assert "-N" in compiler[0], "Go applies the last pattern that matches"
    assert not any("-N" in flag for flag in compiler[1:])
    assert any(flag.startswith("-gcflags=std=") for flag in compiler[1:])


def test_available_memory_is_read_from_meminfo(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemAvailable:       42 kB\n")
    assert available_bytes(meminfo) == 42 * 1024
    assert available_bytes(tmp_path / "none") is None


def test_gogc_of_the_user_is_kept() -> None:
    assert go_environment({})["GOGC"] == "off"
    assert go_environment({"GOGC": "50"})["GOGC"] == "50"


def test_changed_module_file_changes_the_folder(project: Project) -> None:
    module = project.modules / "pulumi-cli"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module a\n")
    before = programs_folder(project)
    assert programs_folder(project) == before
    (module / "go.sum").write_text("a h1:b\n")
    assert programs_folder(project) != before


def test_progress_of_a_build_is_reported() -> None:
    notes: list[str] = []
    read = building_note("pulumi", notes.append)
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
