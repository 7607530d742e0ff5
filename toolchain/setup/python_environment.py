"""A virtual environment with exactly the packages of a lock file: `.venv` by default."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from toolchain.project import Project
from toolchain.setup import debian
from toolchain.steps import Finding
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture, follow
from toolchain.terminal.progress import Step


class PythonEnvironment:
    """A virtual environment, with a stamp of the digest of its lock file."""

    title = "Python environment"

    def __init__(
        self, project: Project, venv: Path | None = None, lock: Path | None = None
    ) -> None:
        self._project = project
        self._venv = venv or project.venv
        self._lock = lock or project.root / "requirements.lock"
        self._stamp = self._venv / ".lock-digest"
        self._log = project.step_logs / "python-environment.log"

    def find(self) -> Finding:
        venv, lock = self._venv.name, self._lock.name
        python = self._venv / "bin" / "python"
        if python.exists() and self._stamp.exists():
            if self._stamp.read_text(encoding="utf-8") == digest(self._lock):
                return Finding(True, f"{venv} matches {lock}")
            return Finding(False, f"updating {venv} to {lock}")
        return Finding(False, f"creating {venv} from {lock}")

    def make(self, step: Step) -> str:
        lock, venv = self._lock, self._venv
        uv = self._uv(step)
        # The user's package index is used; the hashes verify its packages.
        if not capture([venv / "bin" / "python", "-c", ""]).ok:
            self._follow(step, uv, "venv", "--clear", "--python", sys.executable, str(venv))
        python = str(venv / "bin" / "python")
        self._follow(step, uv, "pip", "sync", "--python", python, "--require-hashes", str(lock))
        self._stamp.write_text(digest(lock), encoding="utf-8")
        return f"{venv.name} matches {lock.name}"

    def _uv(self, step: Step) -> str:
        """The uv on PATH, or the pinned one in a separate environment."""
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
        if not capture([sys.executable, "-c", "import ensurepip, venv"]).ok:
            name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            debian.install([name], purpose="Python's venv module", log=self._log, step=step)
        result = capture(make, timeout=300)
        if not result.ok:
            raise SetupError(f"{sys.executable} -m venv failed:\n{result.out}{result.err}")

    def _follow(self, step: Step, *args: str) -> None:
        environment = {
            # The cache may be on another file system than the project.
            "UV_LINK_MODE": "copy",
            # A company's CA certificate is in the system's store.
            "UV_SYSTEM_CERTS": "true",
            **os.environ,
        }
        environment.pop("VIRTUAL_ENV", None)
        follow(list(args), log=self._log, env=environment, on_line=step.note)


def digest(file: Path) -> str:
    """The SHA-256 of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
