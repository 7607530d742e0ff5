"""A Chromium for the tests of the chat page."""

from __future__ import annotations

import shutil

from toolchain.project import Project
from toolchain.setup import debian
from toolchain.steps import Finding
from toolchain.terminal.progress import Step

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class Browser:
    """Chromium from the system's packages."""

    title = "Chromium"

    def __init__(self, project: Project) -> None:
        self._log = project.step_logs / "chromium.log"

    def find(self) -> Finding:
        found = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if found:
            return Finding(True, found)
        return Finding(False, "installing it")

    def make(self, step: Step) -> str:
        debian.install(["chromium"], purpose="Chromium", log=self._log, step=step)
        return self.find().what
