"""Runs the workflows' own scripts, with stand-ins for the programs that reach the world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROJECT_ROOT = Path(__file__).parents[3]
SCRIPTS = PROJECT_ROOT / ".github" / "scripts"

# Writes down how it was called, and answers as the first of its answers says whose words all
# stand in the call. With --jq it filters its answer by the real jq, as gh does by its own.
STAND_IN = """#!{python}
import json, os, pathlib, subprocess, sys
home = pathlib.Path({home!r})
words = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
told = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
with (home / "calls").open("a") as calls:
    calls.write(json.dumps({{"words": words, "stdin": told, "path": os.environ["PATH"]}}) + "\\n")
for answer in json.loads((home / "answers").read_text()):
    if set(answer["to"]) <= set(words):
        text = answer["says"]
        if "--jq" in words:
            query = words[words.index("--jq") + 1]
            text = subprocess.run(["jq", "-r", query], input=text, capture_output=True, text=True, check=True).stdout
        for option, content in answer["writes"].items():
            pathlib.Path(words[words.index(option) + 1]).write_text(content)
        sys.stdout.write(text)
        sys.stderr.write(answer["complains"])
        sys.exit(answer["code"])
"""


@dataclass
class World:
    """Programs that only pretend, and what they were asked."""

    home: Path
    answers: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.programs = self.home / "programs"
        self.programs.mkdir()
        self.environment = {
            "PATH": os.pathsep.join(
                [str(self.programs), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "HOME": str(self.home),
        }

    def pretend(self, *programs: str) -> None:
        for program in programs:
            path = self.programs / program
            path.write_text(STAND_IN.format(python=sys.executable, home=str(self.home)))
            path.chmod(0o755)

    def answer(
        self,
        *to: str,
        says: str = "",
        complains: str = "",
        code: int = 0,
        writes: Mapping[str, str] | None = None,
    ) -> None:
        """What is said to a call that holds all these words; the first that fits counts.

        `writes` maps an option of the call to what comes into the file that it names.
        """
        answer = {"says": says, "complains": complains, "code": code, "writes": {**(writes or {})}}
        self.answers.append({"to": to, **answer})

    def run(
        self, script: str, *args: str, cwd: Path = PROJECT_ROOT, check: bool = True, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the workflows; a failure shows all that it said."""
        (self.home / "answers").write_text(json.dumps(self.answers))
        result = subprocess.run(
            [SCRIPTS / script, *args],
            cwd=cwd,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if check and result.returncode:
            pytest.fail(f"{script} {' '.join(args)}:\n{result.stdout}\n{result.stderr}")
        return result

    def calls(self, *words: str) -> list[list[str]]:
        """How the programs were called, in order; only calls that hold all these words."""
        return [call["words"] for call in self._calls() if set(words) <= set(call["words"])]

    def told(self, *words: str) -> list[str]:
        """What came in on standard input, call by call."""
        return [call["stdin"] for call in self._calls() if set(words) <= set(call["words"])]

    def _calls(self) -> list[dict[str, Any]]:
        calls = self.home / "calls"
        return (
            [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    home = tmp_path / "world"
    home.mkdir()
    return World(home)


ProjectMaker = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> ProjectMaker:
    """A project whose stacks have these settings, and the real sources."""

    def make(**stacks: str) -> Path:
        root = tmp_path / "project"
        root.mkdir()
        for name in (".github", "app", "docker", "components"):
            (root / name).symlink_to(PROJECT_ROOT / name)
        for stack, settings in stacks.items():
            (root / f"Pulumi.{stack}.yaml").write_text(settings, encoding="utf-8")
        return root

    return make
