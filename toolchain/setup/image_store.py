"""The store in which the engine keeps its images: it has to be the classic one for builds."""

from __future__ import annotations

from pathlib import Path

from toolchain.commands.steps import Finding
from toolchain.setup.engine_checks import (
    SETTING,
    AskEngine,
    Verdict,
    ask_engine,
    image_store,
    major_version,
)
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import ask, follow
from toolchain.terminal.progress import Step

# The first version whose new installations keep images in containerd's store.
CONTAINERD_DEFAULT = 29
ENGINE_SETTINGS = Path("/etc/docker/daemon.json")


class ImageStore:
    """Looked at before anything is built; an engine that has content is changed by a person."""

    title = "Image store"

    def __init__(self, ask_engine: AskEngine = ask_engine) -> None:
        self._ask_engine = ask_engine

    def find(self) -> Finding:
        info = self._ask_engine()
        if info is None:
            return Finding(False, "not known: the engine does not answer")
        check = image_store(info)
        return Finding(check.verdict is Verdict.OK, check.what)

    def make(self, step: Step) -> str:
        raise SetupError(f"The image store of Docker Engine cannot be used: {self.find().what}.")


def set_classic_store(
    log: Path, *, root: bool, engine_version: str, settings: Path = ENGINE_SETTINGS
) -> bool:
    """Choose the classic store for an engine that has just been installed and holds nothing.

    Takes effect when the engine starts. Returns whether the file was written: not where a person
    has written one, nor for engines whose default it is.
    """
    if (major_version(engine_version) or 0) < CONTAINERD_DEFAULT or settings.exists():
        return False
    write = 'mkdir -p "$(dirname "$1")" && printf "%s\\n" "$2" >"$1"'
    sudo = [] if root else ["sudo"]
    follow([*sudo, "sh", "-c", write, "sh", settings, SETTING], log=log)
    return True


def installed_version() -> str:
    """The version of the `dockerd` on PATH, which need not run; empty where there is none."""
    # Docker version 29.0.1, build 1234567
    return ask(["dockerd", "--version"]).out.removeprefix("Docker version ").partition(",")[0]
