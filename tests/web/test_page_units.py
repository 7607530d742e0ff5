"""The page's unit tests and type check, its lock file, and the hosts in its build."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from tests.web import page_build


def test_the_unit_tests_of_the_page_pass(dist: Path) -> None:
    page_build.npm("test")


def test_the_type_check_passes(dist: Path) -> None:
    page_build.npm("run", "check")


def test_format_and_lint_are_clean(dist: Path) -> None:
    page_build.npm("run", "lint")


def test_the_lock_file_pins_content_and_names_no_registry() -> None:
    lock = json.loads((page_build.WEB / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("integrity" in entry for entry in packages.values())
    assert not [name for name, entry in packages.items() if "resolved" in entry]


def test_the_built_page_contains_no_other_host(dist: Path) -> None:
    entry = (dist / "index.html").read_text()
    assert "://" not in entry
    assert "<style" not in entry
    assert " style=" not in entry
    styles = [path.read_text() for path in _assets(dist, ".css")]
    assert styles
    assert not [text for text in styles if "://" in text]


def test_the_build_compresses_the_files_of_the_page(dist: Path) -> None:
    for path in [dist / "index.html", *_assets(dist, ".js"), *_assets(dist, ".css")]:
        content = path.read_bytes()
        if len(content) < 1000:
            continue
        assert gzip.decompress(Path(f"{path}.gz").read_bytes()) == content
        assert Path(f"{path}.br").stat().st_size < len(content) * 0.7


def _assets(dist: Path, suffix: str) -> Iterator[Path]:
    return (dist / "assets").glob(f"*{suffix}")
