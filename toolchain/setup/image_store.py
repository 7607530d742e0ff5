"""The image store of the engine: builds need the classic one."""

from __future__ import annotations

from pathlib import Path

from toolchain.setup.engine_checks import (
    SETTING,
    ReadInfo,
    Verdict,
    image_store,
    major_version,
    read_engine_info,
)
from toolchain.steps import Finding
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture, follow
from toolchain.terminal.progress import Step

# The first version whose new installations use containerd's store.
CONTAINERD_DEFAULT = 29
ENGINE_SETTINGS = Path("/etc/docker/daemon.json")


class ImageStore:
    """Checks the store; the store of an engine with content is only changed by the user."""

    title = "Image store"

    def __init__(self, read_engine_info: ReadInfo = read_engine_info) -> None:
        self._read_engine_info = read_engine_info

    def find(self) -> Finding:
        info = self._read_engine_info()
        if info is None:
            return Finding(False, "unknown: the engine does not respond")
        check = image_store(info)
        return Finding(check.verdict is Verdict.OK, check.what)

    def make(self, step: Step) -> str:
        raise SetupError(f"The image store of Docker Engine cannot be used: {self.find().what}.")


def set_classic_store(
    log: Path, *, root: bool, engine_version: str, settings: Path = ENGINE_SETTINGS
) -> bool:
    """Select the classic store for a newly installed engine without content.

    Takes effect when the engine starts. Returns whether the file was written: not if it exists
    already, nor for engines with that default.
    """
    if (major_version(engine_version) or 0) < CONTAINERD_DEFAULT or settings.exists():
        return False
    write = 'mkdir -p "$(dirname "$1")" && printf "%s\\n" "$2" >"$1"'
    sudo = [] if root else ["sudo"]
    follow([*sudo, "sh", "-c", write, "sh", settings, SETTING], log=log)
    return True


def installed_version() -> str:
    """The version of the `dockerd` on PATH, running or not; empty if there is none."""
    # Its output: Docker version 29.0.1, build 1234567
    return capture(["dockerd", "--version"]).out.removeprefix("Docker version ").partition(",")[0]
