"""Checks entries with the catalogue's own loader, before they are called ready."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolchain.compose.outcome import CopiedFile
from toolchain.terminal.errors import SetupError

# The Pulumi program's packages are not imported here: another process has them, in a copy of the
# catalogue that holds the new file too.
_PROGRAM = """
import json, sys
from pathlib import Path
from components.kinds.catalogue import StackValues, load_catalogue
given = json.load(sys.stdin)
stack = StackValues(values=given["values"], enabled=tuple(given["services"]))
catalogue = load_catalogue(Path("services.yaml"), stack)
problems = [[[*map(str, one.location)], one.source, str(one)] for one in catalogue.problems]
print(json.dumps(problems))
"""


def problems_of(
    root: Path,
    path: Path,
    text: str,
    copies: Sequence[CopiedFile],
    services: Mapping[str, Any],
    values: Iterable[str],
) -> dict[str, list[str]]:
    """By service, the problems that the loader finds; under an empty name those of the file.

    :param values: names of values that a stack has to set.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        make_copy(root, copy, path, text, copies, services)
        stack = {"services": [*services], "values": dict.fromkeys(values, "value")}
        return _found(root, copy, path.name, stack)


def make_copy(
    root: Path,
    copy: Path,
    path: Path,
    text: str,
    copies: Sequence[CopiedFile],
    services: Mapping[str, Any],
) -> None:
    """Copy the catalogue, and add the new file with all that its entries need."""
    _copy_catalogue(root, copy)
    file = copy / path.relative_to(root)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    for one in copies:
        _copy_file(one, copy / one.target)
    for entry in services.values():
        _add_missing(copy, entry)


def _copy_catalogue(root: Path, copy: Path) -> None:
    shutil.copy(root / "services.yaml", copy)
    for name in ("catalog", "docker"):
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name)
    (copy / "app").symlink_to(root / "app")


def _add_missing(copy: Path, entry: Mapping[str, Any]) -> None:
    """What the report asks for: Dockerfiles and files that do not exist yet."""
    if build := entry.get("build"):
        (copy / "docker" / f"{build}.Dockerfile").touch()
    for volume in entry.get("volumes", ()):
        if volume.startswith("./"):
            file = copy / volume.partition(":")[0]
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_text("\n", encoding="utf-8")


def _copy_file(one: CopiedFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if one.content is not None:
        target.write_text(one.content, encoding="utf-8")
    elif one.source.is_dir():
        shutil.copytree(one.source, target, dirs_exist_ok=True)
    else:
        shutil.copy(one.source, target)


def _found(root: Path, copy: Path, name: str, stack: Mapping[str, Any]) -> dict[str, list[str]]:
    python = root / ".venv" / "bin" / "python"
    result = subprocess.run(
        [str(python) if python.exists() else sys.executable, "-c", _PROGRAM],
        cwd=copy,
        env={"PYTHONPATH": str(root), "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
        input=json.dumps(stack),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise SetupError(f"The entries cannot be checked with the catalogue's loader: {last}")
    found: dict[str, list[str]] = {}
    for location, source, text in json.loads(result.stdout):
        if source.endswith(name):
            service = next((part for part in location[1:2] if part in stack["services"]), "")
            found.setdefault(service, []).append(text)
    return found
