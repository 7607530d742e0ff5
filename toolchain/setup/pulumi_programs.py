"""The Pulumi CLI and its Python language host, in the version of the SDK."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from toolchain import versions
from toolchain.project import Project
from toolchain.setup import fallback, official_release
from toolchain.setup.official_release import PROGRAMS
from toolchain.steps import Finding
from toolchain.terminal.processes import capture
from toolchain.terminal.progress import Step

# The folder of an interrupted build is removed after a day.
FORGOTTEN_SECONDS = 86_400
PLUGIN = "pulumi-resource-docker"


def release_folder(project: Project) -> Path:
    """The cache folder for the programs of the official release."""
    return project.programs / f"pulumi-{versions.PULUMI}-{sys.platform}-{platform.machine()}"


def version_tuple(text: str) -> tuple[int, ...]:
    """`v3.256.0` as (3, 256, 0); empty if the text is not a version."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return tuple(int(part) for part in match.groups()) if match else ()


def fits(version: str) -> bool:
    """Whether a CLI of this version can run the program: same major, not older than the SDK."""
    found, required = version_tuple(version), version_tuple(versions.PULUMI)
    return found[:1] == required[:1] and found >= required


class PulumiPrograms:
    """`pulumi` and its language host, linked into the checkout's `.state/bin`."""

    title = f"Pulumi {versions.PULUMI}"

    def __init__(self, project: Project) -> None:
        self._project = project

    def find(self) -> Finding:
        linked = [self._project.bin / program for program in PROGRAMS]
        if all(link.exists() for link in linked):
            folder = linked[0].resolve().parent
            if self._project.cache not in folder.parents or folder in self._cached():
                return Finding(True, f"in {folder}")
        if (installed := self._installation_on_path()) is not None:
            return Finding(False, f"using the installation in {installed}")
        if next(self._cached(), None) is not None:
            return Finding(False, "using the programs in this machine's cache")
        if official_release.reachable():
            return Finding(False, "downloading its release")
        return Finding(False, "building it from Go modules: its releases cannot be reached")

    def make(self, step: Step) -> str:
        folder = self._installation_on_path() or next(self._cached(), None) or self._get(step)
        self._link(folder)
        return f"in {folder}"

    def _cached(self) -> Iterator[Path]:
        """Folders of programs of the present versions, downloaded before built ones."""
        downloaded = release_folder(self._project) / "bin"
        if downloaded.is_dir():
            yield downloaded
        # Only a build has a plugin: without one, toolchain.offline is not needed.
        if any(self._project.programs.glob("*/plugin")):
            built = fallback.programs_folder(self._project) / "bin"
            if built.is_dir():
                yield built

    def _installation_on_path(self) -> Path | None:
        """The folder of an official pulumi on PATH that is new enough."""
        found = shutil.which("pulumi")
        if found is None or Path(found).parent == self._project.bin:
            return None
        folder = Path(found).resolve().parent
        complete = all((folder / program).exists() for program in PROGRAMS)
        skip = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
        return folder if complete and fits(capture([found, "version"], env=skip).out) else None

    def _get(self, step: Step) -> Path:
        """Download or build the programs; an interrupted run leaves no folder in the cache."""
        programs = self._project.programs
        programs.mkdir(parents=True, exist_ok=True)
        for left in programs.glob(".building-*"):
            if time.time() - left.stat().st_mtime > FORGOTTEN_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=programs, prefix=".building-") as temporary:
            made = Path(temporary) / "made"
            (made / "bin").mkdir(parents=True)
            if official_release.reachable():
                folder = release_folder(self._project)
                official_release.install(made / "bin", step)
            else:
                folder = fallback.programs_folder(self._project)
                fallback.build_programs(self._project, made / "bin", step)
                # On PATH, Pulumi would use it instead of an installed plugin.
                (made / "plugin").mkdir()
                (made / "bin" / PLUGIN).rename(made / "plugin" / PLUGIN)
            try:
                made.rename(folder)
            except OSError:
                # A run in another checkout may have finished first.
                if not (folder / "bin").is_dir():
                    raise
        return folder / "bin"

    def _link(self, folder: Path) -> None:
        self._project.bin.mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS:
            link = self._project.bin / program
            link.unlink(missing_ok=True)
            link.symlink_to(folder / program)
        plugin = self._project.built_plugin.parent
        plugin.unlink(missing_ok=True)
        if (folder.parent / "plugin").is_dir():
            plugin.symlink_to(folder.parent / "plugin")
