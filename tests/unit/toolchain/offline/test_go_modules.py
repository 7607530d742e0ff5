"""How Pulumi's programs are compiled: with as little work as this machine needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolchain.offline.go_modules import (
    COMPILER_BYTES,
    available_bytes,
    build_flags,
    go_environment,
)


def test_no_more_compilers_run_than_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert build_flags(100 * COMPILER_BYTES)[-1] == "-p=4"
    assert build_flags(3 * COMPILER_BYTES - 1)[-1] == "-p=2"
    assert build_flags(1)[-1] == "-p=1"
    assert not any(flag.startswith("-p=") for flag in build_flags(None)), "Go's own choice"


def test_what_each_update_runs_is_optimized_whatever_comes_before_it() -> None:
    compiler = [flag for flag in build_flags(None) if flag.startswith("-gcflags=")]
    assert "-N" in compiler[0], "Go applies the last pattern that matches"
    assert not any("-N" in flag for flag in compiler[1:])
    assert any(flag.startswith("-gcflags=std=") for flag in compiler[1:])


def test_free_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemAvailable:       42 kB\n")
    assert available_bytes(meminfo) == 42 * 1024
    assert available_bytes(tmp_path / "none") is None


def test_garbage_collection_is_the_persons_choice() -> None:
    assert go_environment({})["GOGC"] == "off"
    assert go_environment({"GOGC": "50"})["GOGC"] == "50"
