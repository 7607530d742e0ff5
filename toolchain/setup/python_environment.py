"""The virtual environment, exactly as `requirements.lock` says."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from toolchain.commands.steps import Finding
from toolchain.project import Project
from toolchain.setup import debian
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import ask, follow
from toolchain.terminal.progress import Step


class PythonEnvironment:
    """`.venv`, stamped with the digest of the lock that it was made from."""

    title = "Python environment"

    def __init__(self, project: Project) -> None:
        self._project = project
        self._stamp = project.venv / ".lock-digest"
        self._log = project.step_logs / "python-environment.log"

    def find(self) -> Finding:
        lock = self._project.root / "requirements.lock"
        python = self._project.venv / "bin" / "python"
        if python.exists() and self._stamp.exists():
            if self._stamp.read_text(encoding="utf-8") == digest(lock):
                return Finding(True, ".venv is as requirements.lock says")
            return Finding(False, "bringing .venv to what requirements.lock says now")
        return Finding(False, "making .venv from requirements.lock")

    def make(self, step: Step) -> str:
        lock, venv = self._project.root / "requirements.lock", self._project.venv
        uv = self._uv(step)
        # An index of the person's own choice stays in force; the hashes say what may come from it.
        if not ask([venv / "bin" / "python", "-c", ""]).ok:
            self._follow(step, uv, "venv", "--clear", "--python", sys.executable, str(venv))
        python = str(venv / "bin" / "python")
        self._follow(step, uv, "pip", "sync", "--python", python, "--require-hashes", str(lock))
        self._stamp.write_text(digest(lock), encoding="utf-8")
        return ".venv is as requirements.lock says"

    def _uv(self, step: Step) -> str:
        """The person's own uv, else the pinned one, in an environment of its own."""
        if found := shutil.which("uv"):
            return found
        pins = Path(__file__).with_name("uv.txt")
        folder = self._project.cache / f"uv-{digest(pins)[:12]}"
        uv = folder / "bin" / "uv"
        if not uv.exists():
            step.note("installing uv")
            self._bootstrap_environment(folder, step)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--require-hashes"]
            follow([*pip, "-r", str(pins)], log=self._log, on_line=step.note)
        return str(uv)

    def _bootstrap_environment(self, folder: Path, step: Step) -> None:
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        if not ask([sys.executable, "-c", "import ensurepip, venv"]).ok:
            name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            debian.install([name], purpose="Python's venv module", log=self._log, step=step)
        answer = ask(make, timeout=300)
        if not answer.ok:
            raise SetupError(f"{sys.executable} -m venv failed:\n{answer.out}{answer.err}")

    def _follow(self, step: Step, *args: str) -> None:
        environment = {
            # The cache may lie on another file system than the project.
            "UV_LINK_MODE": "copy",
            # As every other program here: a company's own authority is in the system's store.
            "UV_SYSTEM_CERTS": "true",
            **os.environ,
        }
        environment.pop("VIRTUAL_ENV", None)
        follow(list(args), log=self._log, env=environment, on_line=step.note)


def digest(file: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
