"""The digest of an image's build context, computed over what Docker would send to the engine."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi

_TOKEN = re.compile(r"\*\*/?|\\.|.", re.DOTALL)


@dataclass(frozen=True)
class IgnoreRule:
    """A line of a `.dockerignore`, as Docker reads it (github.com/moby/patternmatcher).

    Docker's library for Python reads them too, but takes longer to import than all of this project.
    """

    again: bool
    """Whether it takes again, by `!`, what a rule before it ignores."""
    path: str
    matches: re.Pattern[str]
    """Of a path that the rule names, or that is in a directory that it names."""

    def may_name_a_path_in(self, folder: str) -> bool:
        """Whether it can name a path in a folder without naming the folder."""
        return "**" in self.path or self.path.count("/") > folder.count("/")


def ignore_rules(text: str) -> list[IgnoreRule]:
    """The rules of a `.dockerignore`; raises re.error for one that is not a valid pattern."""
    rules = []
    for line in text.removeprefix("\ufeff").split("\n"):
        rule = "" if line.startswith("#") else line.strip()
        path = rule.removeprefix("!").strip()
        if path:
            path = posixpath.normpath(path).lstrip("/")
            matches = re.compile(f"(?:{_expression(path)})(?:/.*)?", re.DOTALL)
            rules.append(IgnoreRule(rule.startswith("!"), path, matches))
    return rules


def _expression(path: str) -> str:
    """The pattern of a path as a regular expression."""
    parts = []
    for token in _TOKEN.finditer(path):
        match token[0]:
            case "*":
                parts.append("[^/]*")
            case "?":
                parts.append("[^/]")
            case "**" | "**/":
                parts.append("(?:.*/)?" if token.end() < len(path) else ".*")
            case "[" | "]" | "^" | "-" as part:
                parts.append(part)
            case other:
                parts.append(re.escape(other[-1]))
    return "".join(parts)


def is_sent(path: str, rules: Sequence[IgnoreRule]) -> bool:
    """Whether a path of the context goes to the engine: the last rule that names it decides."""
    for rule in reversed(rules):
        if rule.matches.fullmatch(path):
            return rule.again
    return True


def context_files(context: Path, folders: Sequence[str] = ()) -> list[Path]:
    """Paths of all that the engine would be sent (`.dockerignore` honoured), in a fixed order.

    :param folders: of the context; without any, all of it counts.
    """
    ignore = context / ".dockerignore"
    try:
        rules = ignore_rules(ignore.read_text(encoding="utf-8") if ignore.exists() else "")
    except re.error as error:
        raise pulumi.RunError(f"{ignore}: {error}; found {error.pattern!r}") from None
    paths = (Path(path) for path in sorted(_sent(context, "", rules)))
    return [path for path in paths if not folders or path.parts[0] in folders]


def _sent(context: Path, folder: str, rules: Sequence[IgnoreRule]) -> Iterator[str]:
    with os.scandir(context / folder) as entries:
        for entry in entries:
            path = f"{folder}{entry.name}"
            sent = is_sent(path, rules)
            if sent:
                yield path
            if entry.is_dir(follow_symlinks=False) and (
                sent or any(rule.again and rule.may_name_a_path_in(path) for rule in rules)
            ):
                yield from _sent(context, f"{path}/", rules)


def context_digest(
    context: Path,
    dockerfile: Path,
    build_args: Mapping[str, str],
    folders: Sequence[str] = (),
) -> str:
    """SHA-256 over the folders of the context, the Dockerfile and the arguments.

    Of a file count what git keeps: name, content, type and executable bit. The other permissions
    follow the umask of the checkout, and the Dockerfiles set their own (`COPY --chmod`).
    """
    digest = hashlib.sha256()
    for path in context_files(context, folders):
        _add(digest, path.as_posix(), context / path)
    digest.update(dockerfile.read_bytes())
    for name, value in sorted(build_args.items()):
        digest.update(f"\0arg {name}={value}".encode())
    return digest.hexdigest()


def _add(digest: hashlib._Hash, name: str, path: Path) -> None:
    mode = path.lstat().st_mode
    executable = stat.S_ISREG(mode) and bool(mode & stat.S_IXUSR)
    digest.update(f"\0{name}\0{stat.S_IFMT(mode):o}\0{executable:d}\0".encode())
    if stat.S_ISLNK(mode):
        digest.update(os.readlink(path).encode())
    elif stat.S_ISREG(mode):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
