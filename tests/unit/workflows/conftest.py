"""Runs the workflows' scripts with fake docker, pulumi, gh and ssh."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROJECT_ROOT = Path(__file__).parents[3]
SCRIPTS = PROJECT_ROOT / ".github" / "scripts"

# Records its calls, and prints the first answer whose words are all among its arguments. With --jq
# it filters the answer with the real jq, as gh does.
FAKE_PROGRAM = """#!{python}
import json, os, pathlib, subprocess, sys
home = pathlib.Path({home!r})
words = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
received = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
with (home / "calls").open("a") as calls:
    calls.write(json.dumps({{"words": words, "stdin": received, "path": os.environ["PATH"]}}) + "\\n")
for answer in json.loads((home / "answers").read_text()):
    if set(answer["to"]) <= set(words):
        text = answer["stdout"]
        if "--jq" in words:
            query = words[words.index("--jq") + 1]
            text = subprocess.run(["jq", "-r", query], input=text, capture_output=True, text=True, check=True).stdout
        for option, content in answer["writes"].items():
            pathlib.Path(words[words.index(option) + 1]).write_text(content)
        sys.stdout.write(text)
        sys.stderr.write(answer["stderr"])
        sys.exit(answer["code"])
"""


@dataclass
class World:
    """Fake programs and their recorded calls."""

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

    def fake(self, *programs: str) -> None:
        """Put fakes of these programs on PATH."""
        for program in programs:
            path = self.programs / program
            path.write_text(FAKE_PROGRAM.format(python=sys.executable, home=str(self.home)))
            path.chmod(0o755)

    def answer(
        self,
        *to: str,
        stdout: str = "",
        stderr: str = "",
        code: int = 0,
        writes: Mapping[str, str] | None = None,
    ) -> None:
        """Set the answer to calls with all these words; the first match wins.

        :param writes: by option of the call, the content of the file that the option names.
        """
        answer = {"stdout": stdout, "stderr": stderr, "code": code, "writes": {**(writes or {})}}
        self.answers.append({"to": to, **answer})

    def run(
        self,
        script: str,
        *args: str,
        variables: Mapping[str, str] | None = None,
        cwd: Path = PROJECT_ROOT,
        check: bool = True,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the workflows; a failure shows all of its output.

        :param variables: environment variables, as `more`.
        """
        (self.home / "answers").write_text(json.dumps(self.answers))
        result = subprocess.run(
            [SCRIPTS / script, *args],
            cwd=cwd,
            env={**self.environment, **(variables or {}), **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if check and result.returncode:
            pytest.fail(f"{script} {' '.join(args)}:\n{result.stdout}\n{result.stderr}")
        return result

    def calls(self, *words: str) -> list[list[str]]:
        """The calls with all these words, in order."""
        return [call["words"] for call in self._calls() if set(words) <= set(call["words"])]

    def stdin(self, *words: str) -> list[str]:
        """The standard input of each of these calls."""
        return [call["stdin"] for call in self._calls() if set(words) <= set(call["words"])]

    def _calls(self) -> list[dict[str, Any]]:
        calls = self.home / "calls"
        return (
            [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
        )


@pytest.fixture
def jq() -> None:
    """For scripts that call jq, which the runners and `./dev test` provide."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")


@pytest.fixture
def world(tmp_path: Path) -> World:
    home = tmp_path / "world"
    home.mkdir()
    return World(home)


ProjectMaker = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> ProjectMaker:
    """Creates a project with the real sources and stacks with these settings."""

    def make(**stacks: str) -> Path:
        root = tmp_path / "project"
        root.mkdir()
        for name in (".github", "app", "docker", "components"):
            (root / name).symlink_to(PROJECT_ROOT / name)
        for stack, settings in stacks.items():
            (root / f"Pulumi.{stack}.yaml").write_text(settings, encoding="utf-8")
        return root

    return make
