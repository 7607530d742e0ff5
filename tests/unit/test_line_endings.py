"""Every checkout has the same bytes, independent of `core.autocrlf`."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT_ROOT = Path(__file__).parents[2]


def git(*args: str, folder: Path = PROJECT_ROOT) -> str:
    command = ["git", "-C", str(folder), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_no_tracked_text_file_has_crlf() -> None:
    files = git("ls-files", "--eol").splitlines()
    assert len(files) > 100
    assert [file for file in files if file.startswith(("i/crlf", "i/mixed"))] == []


def test_checkout_with_autocrlf_has_lf(tmp_path: Path) -> None:
    (tmp_path / ".gitattributes").write_bytes((PROJECT_ROOT / ".gitattributes").read_bytes())
    (tmp_path / "dev").write_bytes(b"#!/bin/sh\nexec true\n")
    (tmp_path / "page.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    git("init", "-q", folder=tmp_path)
    git("config", "core.autocrlf", "true", folder=tmp_path)
    git("add", "dev", "page.png", folder=tmp_path)
    for name in ("dev", "page.png"):
        (tmp_path / name).unlink()
    git("checkout", "--", ".", folder=tmp_path)
    assert (tmp_path / "dev").read_bytes() == b"#!/bin/sh\nexec true\n"
    assert (tmp_path / "page.png").read_bytes() == b"\x89PNG\r\n\x1a\n\x00"
