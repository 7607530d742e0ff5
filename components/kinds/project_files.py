"""Files of the project that a container reads: each is mounted by itself at its path."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.config.compose.volumes import RepositoryFiles
from components.config.problems import Key, Problem, Source

MOST_FILES = 64
# A Swarm's config holds 500 KB at most (github.com/moby/swarmkit, `manager/controlapi/config.go`).
MOST_BYTES = 500_000
_LONGEST_NAME = 24


@dataclass(frozen=True)
class ProjectFile:
    """One text file."""

    content: str
    path: str
    """In the container."""
    executable: bool = False

    @property
    def name(self) -> str:
        """Another one for each path, as few letters as a volume and a Swarm's config allow."""
        digest = hashlib.sha256(self.path.encode()).hexdigest()[:8]
        return f"{digest}-{posixpath.basename(self.path)[-_LONGEST_NAME:]}"


def project_files(entries: Sequence[RepositoryFiles]) -> list[ProjectFile]:
    """The files of all entries, which have been checked."""
    return [
        ProjectFile(file.read_text(encoding="utf-8"), path, _is_executable(file))
        for entry in entries
        for file, path in _files(entry)
    ]


def paths_of(entry: RepositoryFiles) -> list[str]:
    """Where the files of an entry are in the container."""
    return [path for _, path in _files(entry)]


def project_file_problems(
    entries: Sequence[RepositoryFiles], key: Key, source: Source
) -> Iterator[Problem]:
    """What keeps the files from being read."""
    for entry in entries:
        text = _problem(entry)
        if text:
            yield source.problem(key, text[0], found=f"./{entry.source}", allowed=text[1])


def _problem(entry: RepositoryFiles) -> tuple[str, str] | None:
    """What is wrong with an entry, and what is allowed."""
    root = Path(entry.source)
    if not root.exists():
        return "does not exist", "allowed: a file or a folder of the project"
    if not _is_inside(root):
        return "leads out of the project", "allowed: a file or a folder of the project"
    files = [file for file, _ in _files(entry)]
    limit = f"allowed: up to {MOST_FILES} text files of {MOST_BYTES // 1000} KB each"
    if not files:
        return "has no file in it", limit
    if len(files) > MOST_FILES:
        return f"has {len(files)} files in it", f"{limit}; a named volume or an image for more"
    for file in files:
        if not _is_inside(file):
            return f"has a file that leads out of the project, {file}", limit
        # Neither the provider's upload nor a Swarm's config can be empty.
        if not file.stat().st_size:
            return f"has an empty file in it, {file}", f"{limit}; one with a comment in it"
        if file.stat().st_size > MOST_BYTES:
            return f"has a larger file in it, {file}", f"{limit}; a named volume for larger ones"
        try:
            file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return f"has a file without text in it, {file}", f"{limit}; an image for other content"
        except OSError as error:
            return f"cannot be read: {file}: {error.strerror}", limit
    return None


def _files(entry: RepositoryFiles) -> list[tuple[Path, str]]:
    """Each file with its path in the container."""
    root = Path(entry.source)
    if not root.is_dir():
        return [(root, entry.path)]
    found = (file for file in sorted(root.rglob("*")) if file.is_file())
    return [(file, posixpath.join(entry.path, file.relative_to(root).as_posix())) for file in found]


def _is_inside(path: Path) -> bool:
    """Whether a path is in the project, where a link leads to included."""
    return path.resolve().is_relative_to(Path().resolve())


def _is_executable(file: Path) -> bool:
    return bool(file.stat().st_mode & 0o100)
