"""The file in catalog/ that an import writes, and the files that its entries need."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from toolchain.compose.mounts import text_files
from toolchain.compose.outcome import CopiedFile
from toolchain.compose.problems import ComposeError, Place, problem

_FLOW_WIDTH = 72
_MADE = "# Made by ./dev import"


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes long texts as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not text.startswith((" ", "\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: _Dumper, values: list[Any]) -> yaml.SequenceNode:
    """Short words on one line."""
    short = all(isinstance(value, str) and " " not in value for value in values)
    flow = short and sum(len(value) + 2 for value in values) < _FLOW_WIDTH
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


def _mapping(dumper: _Dumper, values: dict[str, Any]) -> yaml.MappingNode:
    flow = bool(values) and set(values) <= {"generate", "alphabet", "condition", "soft", "hard"}
    return dumper.represent_mapping("tag:yaml.org,2002:map", values, flow_style=flow)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(dict, _mapping)


def is_imported(path: Path) -> bool:
    """Whether an import made the file, or makes it now."""
    try:
        return path.read_text(encoding="utf-8").startswith(_MADE)
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError):
        return False


def catalogue_text(content: Mapping[str, Any], files: Sequence[Path]) -> str:
    """The text of the catalogue's file.

    :param files: the compose files.
    """
    names = ", ".join(file.name for file in files)
    body = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    # An empty line between services is easier to read.
    lines = body.splitlines()
    spaced = [f"\n{line}" if _begins(lines, at) else line for at, line in enumerate(lines)]
    return f"{_MADE} from {names}. docs/compose.md\n" + "\n".join(spaced) + "\n"


def _begins(lines: Sequence[str], at: int) -> bool:
    """Whether a line begins a section, or a service that is not the first."""
    if at == 0:
        return False
    if not lines[at].startswith(" "):
        return True
    services = lines.index("services:") if "services:" in lines else at
    return at > services + 1 and lines[at][:2] == "  " and lines[at][2:3].isalpha()


def writing_problems(root: Path, path: Path, text: str, copies: Iterable[CopiedFile]) -> list[str]:
    """Files that exist already with another content."""
    found = [path] if _differs(path, text.encode()) else []
    for copy in copies:
        for target, content in _contents(root, copy):
            if _differs(target, content):
                found.append(target)
    return [
        problem(
            Place(str(target.relative_to(root))),
            "",
            "exists, and is different; nothing was written",
            run="the same command with --force, which replaces it, or with --project NAME",
        )
        for target in found
    ]


def write(
    root: Path, path: Path, text: str, copies: Sequence[CopiedFile], *, force: bool
) -> list[Path]:
    """Write all files; return those that changed. Raises `ComposeError` for ones that differ."""
    problems = [] if force else writing_problems(root, path, text, copies)
    if problems:
        raise ComposeError(problems)
    wanted = [(path, text.encode())]
    wanted += [pair for copy in copies for pair in _contents(root, copy)]
    changed = [(target, content) for target, content in wanted if not _same(target, content)]
    for target, content in changed:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        partial.write_bytes(content)
        if target.is_dir():
            shutil.rmtree(target)
        partial.replace(target)
    return [target for target, _ in changed]


def _contents(root: Path, copy: CopiedFile) -> list[tuple[Path, bytes]]:
    target = root / copy.target
    if copy.content is not None:
        return [(target, copy.content.encode())]
    if copy.source.is_dir():
        return [
            (target / file.relative_to(copy.source), file.read_bytes())
            for file in text_files(copy.source)
        ]
    return [(target, copy.source.read_bytes())]


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _differs(path: Path, content: bytes) -> bool:
    return path.exists() and not _same(path, content)
