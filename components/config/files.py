"""Reads the YAML files of a configuration, for problems that name their lines."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.config.problems import Key, Problem, SettingsError, Source, choices
from components.config.yaml_document import UnreadableError, read_document


def read_mapping(
    path: Path, keys: Sequence[str], name: str | None = None
) -> tuple[Source, Mapping[str, Any]]:
    """The content of a YAML file, with what finds its lines.

    :param name: by which problems name the file; None for its own.

    Raises `SettingsError` if the file cannot be read, or holds anything else than a mapping.
    """
    name = name or path.name
    try:
        document = read_document(path)
    except UnreadableError as error:
        raise SettingsError(
            Problem(name, "", problem.text, line=problem.line) for problem in error.problems
        ) from None
    source = Source(name, document=document)
    if not isinstance(document.content, dict):
        found = "nothing" if document.content is None else reprlib.repr(document.content)
        problem = Problem(
            name,
            "",
            "is not a mapping",
            line=document.line(()),
            found=found,
            allowed=choices("", keys),
        )
        raise SettingsError([problem])
    return source, document.content


def stack_source(stack: str, project: str, folder: Path = Path()) -> Source:
    """`Pulumi.<stack>.yaml`, whose settings Pulumi itself passes to the program.

    Lines are known where the file is there: a setting may come from `--config` alone.
    """
    path = folder / f"Pulumi.{stack}.yaml"
    root: Key = ("config",)
    try:
        document = read_document(path) if path.exists() else None
    except UnreadableError:
        document = None
    return Source(path.name, f"{project}:", document, root)
