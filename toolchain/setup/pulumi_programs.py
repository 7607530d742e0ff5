"""The Pulumi CLI and its Python language host, in the version that the SDK has."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from toolchain import versions
from toolchain.commands.steps import Finding
from toolchain.offline import go_modules
from toolchain.project import Project
from toolchain.setup import official_release
from toolchain.setup.official_release import PROGRAMS
from toolchain.terminal.processes import ask
from toolchain.terminal.progress import Step

# What a killed build left is surely nobody's after a day.
FORGOTTEN_SECONDS = 86_400


def cache_folder(project: Project) -> Path:
    """Where the programs of exactly these versions and module files lie for all checkouts."""
    content = hashlib.sha256(f"{versions.PULUMI} {versions.DOCKER_PLUGIN}".encode())
    content.update(f"{sys.platform} {platform.machine()}".encode())
    for path in go_modules.sources(project.modules):
        content.update(f"{path.relative_to(project.modules)}\n".encode())
        content.update(path.read_bytes())
    return project.cache / "toolchain" / content.hexdigest()[:16]


def version_tuple(text: str) -> tuple[int, ...]:
    """`v3.256.0` as (3, 256, 0); empty for what is no version."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return tuple(int(part) for part in match.groups()) if match else ()


def fits(version: str) -> bool:
    """Whether a CLI of this version can run the program: same major, not older than the SDK."""
    found, wanted = version_tuple(version), version_tuple(versions.PULUMI)
    return found[:1] == wanted[:1] and found >= wanted


class PulumiPrograms:
    """`pulumi` and its language host, linked into the checkout's own `bin`."""

    title = f"Pulumi {versions.PULUMI}"

    def __init__(self, project: Project) -> None:
        self._project = project
        self._cache = cache_folder(project)

    def find(self) -> Finding:
        linked = [self._project.bin / program for program in PROGRAMS]
        if all(link.exists() for link in linked):
            folder = linked[0].resolve().parent
            if folder == self._cache / "bin" or self._project.cache not in folder.parents:
                return Finding(True, f"in {folder}")
        if (own := self._own_installation()) is not None:
            return Finding(False, f"using what is installed in {own}")
        if self._built():
            return Finding(False, "using what this machine built before")
        if official_release.reachable():
            return Finding(False, "downloading its release")
        return Finding(False, "building it from Go modules, as its releases cannot be reached")

    def make(self, step: Step) -> str:
        folder = self._own_installation()
        if folder is None:
            if not self._built():
                self._build(step)
            folder = self._cache / "bin"
        self._link(folder)
        return f"in {folder}"

    def _built(self) -> bool:
        return (self._cache / "bin").is_dir()

    def _own_installation(self) -> Path | None:
        """The folder of an official pulumi on PATH that is new enough."""
        found = shutil.which("pulumi")
        if found is None or Path(found).parent == self._project.bin:
            return None
        folder = Path(found).resolve().parent
        complete = all((folder / program).exists() for program in PROGRAMS)
        skip = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
        return folder if complete and fits(ask([found, "version"], env=skip).out) else None

    def _build(self, step: Step) -> None:
        """Make the cache's folder in one step, so that an interrupted build leaves none."""
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        for left in self._cache.parent.glob(".building-*"):
            if time.time() - left.stat().st_mtime > FORGOTTEN_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self._cache.parent, prefix=".building-") as temporary:
            made = Path(temporary) / "made"
            (made / "bin").mkdir(parents=True)
            if official_release.reachable():
                official_release.install(made / "bin", step)
            else:
                go_modules.build(self._project, made / "bin", step)
                # On PATH the engine would take it for a plugin of the person's own.
                (made / "plugin").mkdir()
                program = "pulumi-resource-docker"
                (made / "bin" / program).rename(made / "plugin" / program)
            try:
                made.rename(self._cache)
            except OSError:
                # Another checkout was quicker.
                if not self._built():
                    raise

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
