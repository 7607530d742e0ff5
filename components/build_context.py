"""The digest of an image's build context, computed over what Docker would send to the engine."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from docker.utils import exclude_paths


def context_files(context: Path) -> Iterator[Path]:
    """Paths of all that the engine would be sent (`.dockerignore` honoured), in a fixed order."""
    ignore = context / ".dockerignore"
    patterns = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    rules = [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
    return (Path(path) for path in sorted(exclude_paths(str(context), rules)) if path)


def context_digest(context: Path, dockerfile: Path, build_args: Mapping[str, str]) -> str:
    """SHA-256 over names, modes and contents of the context, the Dockerfile and the arguments.

    Times and owners do not count: Docker's own build cache ignores them too.
    """
    digest = hashlib.sha256()
    for path in context_files(context):
        _add(digest, path.as_posix(), context / path)
    digest.update(dockerfile.read_bytes())
    for name, value in sorted(build_args.items()):
        digest.update(f"\0arg {name}={value}".encode())
    return digest.hexdigest()


def _add(digest: hashlib._Hash, name: str, path: Path) -> None:
    mode = path.lstat().st_mode
    digest.update(f"\0{name}\0{mode:o}\0".encode())
    if stat.S_ISLNK(mode):
        digest.update(os.readlink(path).encode())
    elif stat.S_ISREG(mode):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
