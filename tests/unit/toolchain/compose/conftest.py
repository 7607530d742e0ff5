"""Fixtures: compose files in a folder of their own, and their import."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from components.kinds.catalogue import StackValues, load_catalogue
from toolchain.compose.importing import Import, import_project
from toolchain.compose.outcome import CopiedFile, Outcome
from toolchain.compose.project import ComposeProject, load_project
from toolchain.compose.validation import make_copy

Files = Callable[..., Path]
Importing = Callable[..., Import]
Loading = Callable[..., ComposeProject]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project whose catalogue has one service of its own."""
    root = tmp_path / "checkout"
    (root / "catalog").mkdir(parents=True)
    (root / "services.yaml").write_text("services: {chat-interface: {kind: chat}}\n")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the compose files."""
    path = tmp_path / "shop"
    path.mkdir()
    return path


@pytest.fixture
def write(folder: Path) -> Files:
    """Writes a file beside the compose file."""

    def write_file(name: str, content: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def load(write: Files) -> Loading:
    """Reads compose files, given as texts; later ones override."""

    def load_texts(
        *texts: str, environment: Mapping[str, str] | None = None, **options: object
    ) -> ComposeProject:
        files = [write(f"compose{at}.yml", text) for at, text in enumerate(texts)]
        return load_project(files, environment=environment or {}, **options)  # type: ignore[arg-type]

    return load_texts


@pytest.fixture
def compose(load: Loading, checkout: Path) -> Importing:
    """Imports compose files, given as texts."""

    def import_texts(
        *texts: str, environment: Mapping[str, str] | None = None, **options: object
    ) -> Import:
        return import_project(load(*texts, environment=environment, **options), checkout)

    return import_texts


def outcome(done: Import, name: str) -> Outcome:
    """What became of a service, by its name in the compose file."""
    return next(one for one in done.outcomes if one.original == name)


def changed(one: Outcome) -> str:
    """All that the report has of a service, as one text."""
    changes = [f"{key}: {text}" for key, text in one.changes]
    losses = [
        f"{loss.key}: {loss.reason}; {loss.instead}" for loss in (*one.losses, *one.obstacles)
    ]
    return "\n".join((*changes, *losses, *one.todo))


def checker(folder: Path) -> Callable[..., dict[str, list[str]]]:
    """`problems_of` of toolchain.compose.validation, in this process."""
    numbers = count()

    def problems_of(
        root: Path,
        path: Path,
        text: str,
        copies: Sequence[CopiedFile],
        services: Mapping[str, Any],
        values: Iterable[str],
    ) -> dict[str, list[str]]:
        copy = folder / str(next(numbers))
        copy.mkdir(parents=True)
        make_copy(root, copy, path, text, copies, services)
        stack = StackValues(values=dict.fromkeys(values, "value"), enabled=tuple(services))
        with chdir(copy):
            catalogue = load_catalogue(Path("services.yaml"), stack)
        found: dict[str, list[str]] = {}
        for problem in catalogue.problems:
            if problem.source.endswith(path.name):
                name = str(problem.location[1]) if len(problem.location) > 1 else ""
                found.setdefault(name if name in services else "", []).append(str(problem))
        return found

    return problems_of
