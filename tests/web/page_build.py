"""Builds the page with npm when its sources have changed since the last build."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

WEB = Path(__file__).parents[2] / "app" / "chat" / "web"
_INSTALLED = WEB / "node_modules" / ".installed-lock"
_BUILT = WEB / "node_modules" / ".built-sources"


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One process at a time, where tests run in several."""
    with (WEB / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install() -> None:
    """Install the versions in the lock file."""
    with _locked():
        _install()


def _install() -> None:
    digest = _digest([WEB / "package.json", WEB / "package-lock.json"])
    if not _stamped(_INSTALLED, digest):
        npm("ci", "--no-audit", "--no-fund")
        _INSTALLED.write_text(digest)


def build() -> Path:
    """Build the page if its sources have changed; return the folder."""
    with _locked():
        return _build()


def _build() -> Path:
    _install()
    dist = WEB / "dist"
    sources = [
        *(path for path in WEB.iterdir() if path.is_file()),
        *(path for folder in ("src", "public") for path in (WEB / folder).rglob("*")),
    ]
    digest = _digest(path for path in sources if path.is_file())
    if not (dist / "index.html").is_file() or not _stamped(_BUILT, digest):
        npm("run", "build")
        _BUILT.write_text(digest)
    return dist


def npm(*arguments: str) -> str:
    """Run npm in the page's folder; raise an error with its output when it fails."""
    result = subprocess.run(
        ("npm", *arguments), cwd=WEB, capture_output=True, text=True, timeout=600, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"npm {' '.join(arguments)}:\n{result.stdout}\n{result.stderr}")
    return result.stdout


def _stamped(stamp: Path, digest: str) -> bool:
    return stamp.is_file() and stamp.read_text() == digest


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.relative_to(WEB)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
