"""Programs that the tests run beside the stack: two linters' helpers, and a registry."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from . import debian
from .errors import SetupError
from .processes import follow
from .progress import Step
from .project import Project
from .steps import Finding

# Their names in Debian too.
LINTERS = ("shellcheck", "jq")
REGISTRY = "docker-registry"


class CheckingPrograms:
    """shellcheck and jq as the system's packages; the registry from its package, not installed.

    Installed, it would be started at once, open to the network and to everybody.
    """

    title = "Programs of the tests"

    def __init__(self, project: Project) -> None:
        self._project = project
        self._log = project.step_logs / "checking-programs.log"

    def find(self) -> Finding:
        missing = self._missing()
        if missing:
            return Finding(False, f"getting {', '.join(missing)}")
        return Finding(True, ", ".join((*LINTERS, REGISTRY)))

    def make(self, step: Step) -> str:
        missing = self._missing()
        packages = [name for name in missing if name in LINTERS]
        if packages:
            debian.install(packages, purpose=" and ".join(packages), log=self._log, step=step)
        if REGISTRY in missing:
            self._unpack_registry(step)
        return self.find().what

    def _missing(self) -> list[str]:
        path = f"{self._project.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return [name for name in (*LINTERS, REGISTRY) if shutil.which(name, path=path) is None]

    def _unpack_registry(self, step: Step) -> None:
        if not debian.here():
            raise SetupError(
                f"{REGISTRY} (CNCF Distribution) is missing, and this system does not use apt. "
                "Put it on PATH, then run this again."
            )
        folder = self._project.cache / REGISTRY
        program = folder / "usr" / "bin" / REGISTRY
        if not program.exists():
            step.doing(f"unpacking {REGISTRY} from its package")
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                self._download(Path(temporary))
                unpacked = Path(temporary) / "unpacked"
                (package,) = Path(temporary).glob("*.deb")
                follow(["dpkg-deb", "--extract", package, unpacked], log=self._log)
                unpacked.rename(folder)
        self._project.bin.mkdir(parents=True, exist_ok=True)
        link = self._project.bin / REGISTRY
        link.unlink(missing_ok=True)
        link.symlink_to(program)

    def _download(self, folder: Path) -> None:
        if debian.is_root():
            follow(["apt-get", "update", "-q"], log=self._log)
        follow(["apt-get", "download", REGISTRY], log=self._log, cwd=folder)
