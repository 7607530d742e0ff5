"""Programs that the tests run: linters, a shell, a registry, Prometheus."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from toolchain.project import Project
from toolchain.setup import debian
from toolchain.steps import Finding
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import follow
from toolchain.terminal.progress import Step

# The package names in Debian are the same.
INSTALLED = ("shellcheck", "jq", "zsh")
# Programs by package. Installing the packages would start the servers, reachable from the network;
# so they are only unpacked.
SERVERS = {
    "docker-registry": ("docker-registry",),
    "prometheus": ("prometheus", "promtool"),
}
PROGRAMS = (*INSTALLED, *(program for programs in SERVERS.values() for program in programs))


class CheckingPrograms:
    """Small programs are installed; servers are unpacked from their packages."""

    title = "Programs for the tests"

    def __init__(self, project: Project) -> None:
        self._project = project
        self._log = project.step_logs / "checking-programs.log"

    def find(self) -> Finding:
        missing = self._missing()
        if missing:
            return Finding(False, f"installing {', '.join(sorted(missing))}")
        return Finding(True, ", ".join(PROGRAMS))

    def make(self, step: Step) -> str:
        missing = self._missing()
        packages = [name for name in INSTALLED if name in missing]
        if packages:
            debian.install(packages, purpose=" and ".join(packages), log=self._log, step=step)
        for package, programs in SERVERS.items():
            if not missing.isdisjoint(programs):
                self._unpack(package, step)
        return self.find().what

    def _missing(self) -> set[str]:
        path = f"{self._project.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {name for name in PROGRAMS if shutil.which(name, path=path) is None}

    def _unpack(self, package: str, step: Step) -> None:
        programs = SERVERS[package]
        if not debian.here():
            raise SetupError(
                f"{' and '.join(programs)} is missing, and this system does not use apt. "
                "Put it on PATH, then run this command again."
            )
        folder = self._project.cache / package
        if not folder.exists():
            step.doing(f"unpacking {package} from its package")
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                self._download(package, Path(temporary))
                unpacked = Path(temporary) / "unpacked"
                (archive,) = Path(temporary).glob("*.deb")
                follow(["dpkg-deb", "--extract", archive, unpacked], log=self._log)
                unpacked.rename(folder)
        self._project.bin.mkdir(parents=True, exist_ok=True)
        for program in programs:
            link = self._project.bin / program
            link.unlink(missing_ok=True)
            link.symlink_to(folder / "usr" / "bin" / program)

    def _download(self, package: str, folder: Path) -> None:
        if debian.is_root():
            follow(["apt-get", "update", "-q"], log=self._log)
        follow(["apt-get", "download", package], log=self._log, cwd=folder)
