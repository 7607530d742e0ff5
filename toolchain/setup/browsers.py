"""The browsers for the tests of the pages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from toolchain.project import Project
from toolchain.setup import debian
from toolchain.steps import Finding
from toolchain.terminal.progress import Step


@dataclass(frozen=True)
class Browser:
    """A browser: its package in Debian, and the names of its program elsewhere."""

    title: str
    package: str
    programs: tuple[str, ...]


CHROMIUM = Browser(
    "Chromium",
    "chromium",
    ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
)
FIREFOX = Browser("Firefox", "firefox-esr", ("firefox-esr", "firefox"))
EVERY = (CHROMIUM, FIREFOX)


class Browsers:
    """Chromium and Firefox from the system's packages."""

    title = "Browsers"

    def __init__(self, project: Project) -> None:
        self._log = project.step_logs / "browsers.log"

    def find(self) -> Finding:
        missing = [browser.title for browser in EVERY if program(browser) is None]
        if missing:
            return Finding(False, f"installing {' and '.join(missing)}")
        return Finding(True, ", ".join(filter(None, map(program, EVERY))))

    def make(self, step: Step) -> str:
        missing = [browser for browser in EVERY if program(browser) is None]
        debian.install(
            [browser.package for browser in missing],
            purpose=" and ".join(browser.title for browser in missing),
            log=self._log,
            step=step,
        )
        return self.find().what


def program(browser: Browser) -> str | None:
    """The path of the browser's program, if it is installed."""
    return next(filter(None, map(shutil.which, browser.programs)), None)
