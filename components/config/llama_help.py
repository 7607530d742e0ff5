"""Writes llama_options.json, the options of the pinned llama-server, from the text of `--help`.

    docker run --rm --entrypoint /opt/llama/llama-server IMAGE --help \
      | .venv/bin/python -m components.config.llama_help 11312

IMAGE is an inference image, and 11312 the build in it: `ARG LLAMA_BUILD` of
docker/inference.Dockerfile.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

DATA_FILE = Path(__file__).with_name("llama_options.json")

_NAME = r"-{1,2}[A-Za-z][\w.-]*"
# `-c,    --ctx-size N      size of the prompt context`: names, what follows them, description.
_HEAD = re.compile(rf"(?P<names>(?:{_NAME}, +)*{_NAME})(?: (?P<hint>\S+(?: \S+)*))?(?: {{2,}}|$)")
# Below the names the description continues in this column.
_DESCRIPTION = " " * 40
# `{none,linear,yarn}`, `[on|off|auto]`, `<0|1>`
_CHOICE_HINT = re.compile(r"\{([\w,-]+)\}|\[(\w+(?:\|\w+)+)\]|<(\w+(?:\|\w+)+)>")
# `none,draft-simple,ngram-mod`: several of these, separated by commas
_LIST_HINT = re.compile(r"[a-z0-9-]+(?:,[a-z0-9-]+){2,}")
_ALLOWED_LINE = re.compile(r"^allowed values: (.+)$", re.MULTILINE)
_CHOICE_LINE = re.compile(r"^- ([a-z][\w+-]*)(?: \(default\))?:", re.MULTILINE)
_DEFAULT = re.compile(r"\(default: ([a-z][\w+-]*)\)")
_REMOVED = re.compile(r"the argument has been removed\. (.+)")


class Option(TypedDict, total=False):
    """One option. A key that does not apply is left out."""

    names: list[str]
    value: str
    """What `--help` puts behind the names: `N`, `FNAME`. Missing for a switch."""
    allowed: list[str]
    several: bool
    """Whether several of the allowed values may be given, separated by commas."""
    number: bool
    removed: str
    """What to use instead of an option that llama-server still lists but refuses."""


def parse(text: str) -> list[Option]:
    """The options that `--help` lists, in its order."""
    return [_option(names, hint, description) for names, hint, description in _entries(text)]


def _entries(text: str) -> Iterator[tuple[list[str], str, str]]:
    """Names, what follows them, and the description of each option."""
    head: tuple[list[str], str] | None = None
    description: list[str] = []
    for line in text.splitlines():
        if line.startswith("-") and (match := _HEAD.match(line)):
            if head:
                yield (*head, "\n".join(description))
            head = (re.split(r", +", match["names"]), match["hint"] or "")
            description = [line[match.end() :]]
        elif line.startswith(_DESCRIPTION):
            description.append(line.removeprefix(_DESCRIPTION))
    if head:
        yield (*head, "\n".join(description))


def _option(names: list[str], hint: str, description: str) -> Option:
    option = Option(names=names)
    if hint:
        option["value"] = hint
    if allowed := _allowed(hint, description):
        option["allowed"] = allowed
    if _LIST_HINT.fullmatch(hint):
        option["several"] = True
    # Some numbers have words as alternatives: `an exact number, 'auto', or 'all'`.
    if hint == "N" and "'auto'" not in description:
        option["number"] = True
    if removed := _REMOVED.search(" ".join(description.split())):
        option["removed"] = removed[1].partition(" (env:")[0]
    return option


def _allowed(hint: str, description: str) -> list[str]:
    """The values that `--help` lists: behind the names, on one line, or on a line each."""
    if match := _CHOICE_HINT.fullmatch(hint):
        return re.split(r"[,|]", next(filter(None, match.groups())))
    if _LIST_HINT.fullmatch(hint):
        return hint.split(",")
    if match := _ALLOWED_LINE.search(description):
        return match[1].split(", ")
    if not hint:
        return []
    listed = _CHOICE_LINE.findall(description)
    # The default may be missing from the lines.
    default = _DEFAULT.search(description)
    if listed and default and default[1] not in listed:
        listed.insert(0, default[1])
    return listed


def document(build: int, options: list[Option]) -> str:
    """The data file: one line for each option, so that differences are easy to read."""
    lines = ",\n".join(f"    {json.dumps(option)}" for option in options)
    return f'{{\n  "build": {build},\n  "options": [\n{lines}\n  ]\n}}\n'


if __name__ == "__main__":
    DATA_FILE.write_text(document(int(sys.argv[1]), parse(sys.stdin.read())))
