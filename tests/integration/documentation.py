"""Extracts the commands of a Markdown page from shell code blocks and inline code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# Inline code is a command when it begins with one of these.
PROGRAMS = r"(?:\. toolchain/activate|(?:pulumi|docker|\./dev|python3|tail|curl|git|systemctl) )"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """Each command of a page, without comments."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", "").splitlines():
            if command := re.sub(r"(^|\s+)# .*", "", line).strip():
                yield command
    for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)):
        if re.match(PROGRAMS, code):
            yield code


def files(page: Path) -> dict[str, str]:
    """The content of each file that a page shows, by the path named before its block."""
    text = page.read_text(encoding="utf-8")
    named = r"`([\w./-]+\.(?:py|sql|Dockerfile))`[^`]*?:\n\n```\w+\n(.*?)^```$"
    found = re.findall(named, text, re.MULTILINE | re.DOTALL)
    return dict(found)


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language, in order."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [content for written_in, content in found if written_in == language]
