"""The digest of an image's build context, computed over what Docker would send to the engine."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pathspec import PathSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern


@dataclass(frozen=True)
class IgnoreRules:
    """The rules of a `.dockerignore`.

    Its patterns are those of a `.gitignore`, but all begin at the context, and what lies in an
    ignored directory may be taken again
    (https://docs.docker.com/build/concepts/context/#dockerignore-files).
    """

    spec: PathSpec[GitIgnoreSpecPattern]
    taken_again: tuple[str, ...]
    """Paths that begin with `!`, without it."""

    @classmethod
    def parse(cls, text: str) -> IgnoreRules:
        """Read the lines of a `.dockerignore`."""
        lines = [line.strip() for line in text.splitlines() if not line.startswith("#")]
        rules = [
            (line.startswith("!"), posixpath.normpath("/" + line.lstrip("! /")))
            for line in lines
            if line
        ]
        patterns = [f"!{path}" if again else path for again, path in rules if path != "/"]
        return cls(
            PathSpec.from_lines(GitIgnoreSpecPattern, patterns),
            tuple(path[1:] for again, path in rules if again),
        )

    def ignore(self, path: str) -> bool:
        """Whether a path of the context is not sent."""
        return self.spec.match_file(path)

    def ignore_all_of(self, folder: str) -> bool:
        """Whether nothing is taken again of a folder that is ignored: as in Docker, that needs a
        rule which begins with the folder's own path."""
        return not any(f"{path}/".startswith(f"{folder}/") for path in self.taken_again)


def context_files(context: Path) -> list[Path]:
    """Paths of all that the engine would be sent (`.dockerignore` honoured), in a fixed order."""
    ignore = context / ".dockerignore"
    rules = IgnoreRules.parse(ignore.read_text(encoding="utf-8") if ignore.exists() else "")
    return [Path(path) for path in sorted(_sent(context, "", rules))]


def _sent(context: Path, folder: str, rules: IgnoreRules) -> Iterator[str]:
    with os.scandir(context / folder) as entries:
        for entry in entries:
            path = f"{folder}{entry.name}"
            ignored = rules.ignore(path)
            if not ignored:
                yield path
            inside = entry.is_dir(follow_symlinks=False)
            if inside and not (ignored and rules.ignore_all_of(path)):
                yield from _sent(context, f"{path}/", rules)


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
