"""Installs the clients in their pinned versions, and runs their programs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.project import Project
from toolchain.setup.python_environment import PythonEnvironment
from toolchain.steps import ensure
from toolchain.terminal.progress import Progress

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
PROJECT = Project.at(HERE.parents[2])


def python() -> Path:
    """The interpreter of an environment with the clients, which all checkouts share."""
    lock = HERE / "requirements.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    venv = PROJECT.cache / f"clients-{version}-{_digest(lock)[:12]}"
    ensure(PythonEnvironment(PROJECT, venv, lock), Progress())
    return venv / "bin" / "python"


def node() -> str:
    """The `node` on PATH, with the packages beside the programs."""
    digest = _digest(PROGRAMS / "package-lock.json")
    stamp = PROGRAMS / "node_modules" / ".installed-lock"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != digest:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=PROGRAMS, check=True)
        stamp.write_text(digest, encoding="utf-8")
    return "node"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass
class Client:
    """A running program of a client."""

    process: subprocess.Popen[str]

    def start(self, feature: str, url: str, text: str, **more: Any) -> None:
        """Have it run a feature; `result` has the outcome."""
        command = {"feature": feature, "url": url, "text": text, "model": "m", **more}
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps({'most_tokens': 20, **command})}\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """`value`, or `error` with the names of its `classes` and its `text`."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the program has ended"
        result: dict[str, Any] = json.loads(line)
        return result

    def run(self, feature: str, url: str, text: str, **more: Any) -> Any:
        """The value of a feature, which must not fail."""
        self.start(feature, url, text, **more)
        result = self.result()
        assert "value" in result, result
        return result["value"]


@contextmanager
def running(program: str, *arguments: str) -> Iterator[Client]:
    """Start the program with this name; its suffix decides the language."""
    if program.endswith(".mjs"):
        command = [node(), str(PROGRAMS / program)]
    else:
        command = [str(python()), "-m", f"tests.integration.clients.programs.{program}"]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=PROJECT.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()
