"""The digest of a build context covers exactly the files that the engine receives."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.images.build_context import context_digest, context_files

PROJECT_ROOT = Path(__file__).parents[2]

IGNORE_SOME = """
# a comment
*.log
!keep.log
**/__pycache__
cache/
docs/*.md
!docs/README.md
/only-at-root
./pkg/../with?space.txt
"""

TAKE_SOME = """
*
!*.py
!pkg/*
pkg/cache/
!docs
docs/[a-h]*.md
**/*.log
!pkg/deep/debug.log
"""

TAKE_ONE_KIND = """
**
!**/main.*
!//cache
"""

FILES = [
    "main.py",
    "debug.log",
    "keep.log",
    "pkg/__pycache__/main.pyc",
    "pkg/deep/__pycache__/main.pyc",
    "pkg/deep/debug.log",
    "cache/blob",
    "pkg/cache/blob",
    "docs/guide.md",
    "docs/README.md",
    "only-at-root",
    "pkg/only-at-root",
    "with space.txt",
]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name, encoding="utf-8")
    (root / ".dockerignore").write_text(IGNORE_SOME, encoding="utf-8")
    (root / "link").symlink_to("main.py")
    return root


# Clients differ in whether they search ignored directories for files that a wildcard re-includes.
FOUND_BY_SOME = {"pkg/__pycache__/main.pyc", "pkg/deep/__pycache__/main.pyc"}


@pytest.mark.parametrize(
    ("rules", "perhaps"),
    [(IGNORE_SOME, set()), (TAKE_SOME, set()), (TAKE_ONE_KIND, FOUND_BY_SOME)],
)
def test_the_files_are_those_that_the_engine_receives(
    rules: str,
    perhaps: set[str],
    context: Path,
    tmp_path: Path,
    buildkit: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    (context / ".dockerignore").write_text(rules, encoding="utf-8")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    archive = tmp_path / "sent.tar"
    buildkit("-f", str(dockerfile), "-o", f"type=tar,dest={archive}", str(context))
    with tarfile.open(archive) as sent:
        received = {member.name for member in sent if not member.isdir()}
    ours = {
        path.as_posix()
        for path in context_files(context)
        if not (context / path).is_dir() or (context / path).is_symlink()
    }
    assert received <= ours <= received | perhaps


def test_ignored_files_do_not_change_the_digest(context: Path, tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\n", encoding="utf-8")
    digest = context_digest(context, dockerfile, {})
    (context / "debug.log").write_text("more", encoding="utf-8")
    assert context_digest(context, dockerfile, {}) == digest
    (context / "main.py").chmod(0o755)
    assert context_digest(context, dockerfile, {}) != digest


@pytest.mark.parametrize("image", ["chat", "inference", "monitor", "restarter"])
def test_file_modes_of_the_checkout_are_not_in_the_image(
    image: str, tmp_path: Path, buildkit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    context = tmp_path / "app"
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    shutil.copytree(PROJECT_ROOT / "app", context, ignore=ignored)
    for path in context.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    text = (PROJECT_ROOT / f"docker/{image}.Dockerfile").read_text(encoding="utf-8")
    copies = re.findall(r"^COPY --chmod=.*$", text, re.M)
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("\n".join(["FROM scratch", "WORKDIR /build", *copies]), encoding="utf-8")
    archive = tmp_path / "sent.tar"
    buildkit("-f", str(dockerfile), "-o", f"type=tar,dest={archive}", str(context))
    with tarfile.open(archive) as sent:
        modes = {member.mode for member in sent}
    assert copies
    assert modes == {0o755}
