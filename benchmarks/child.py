"""A module of the benchmarks in a process of its own, which ends with its standard input."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def running_module(name: str, *arguments: str) -> Iterator[str]:
    """The line that the module prints when it is ready."""
    with subprocess.Popen(
        [sys.executable, "-m", name, *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
