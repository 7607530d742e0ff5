"""Shows the image builds that pulumi runs: BuildKit's logs, reduced to the relevant lines."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Minimum interval between output lines of one image; step headers and errors are always shown.
QUIET_SECONDS = 2.0
POLL_SECONDS = 0.5
MAX_WIDTH = 160

STEP_HEADER = re.compile(r"^#(\d+) \[(?!internal)")
CACHED = re.compile(r"^#(\d+) CACHED")
NOT_SHOWN = re.compile(
    r"^(#0 .*|#\d+ (DONE|CANCELED|sha256:|\[internal|transferring ).*|#\d+ ?(\.\.\.)?|)$"
)
FAILURE = re.compile(r"^#\d+ ERROR|^-{6}|^ERROR|^error:|\b(fatal )?error: |\bE: ", re.IGNORECASE)
OUTPUT = re.compile(r"^#\d+ (?:\d+\.\d+ )?")


class BuildLogFilter:
    """Selects the lines of one image's log that are shown."""

    def __init__(self, image: str) -> None:
        self._prefix = f"[{image}] "
        self._last_shown = float("-inf")
        self._failed = False
        # BuildKit repeats a header when it switches between steps.
        self._seen: set[str] = set()
        # A header is held back until the next line, since cached steps are not shown.
        self._header: tuple[str, float] | None = None

    def choose(self, line: str, now: float) -> list[str]:
        """The lines to show after this line, which arrived at `now` (seconds)."""
        line = line.rstrip()
        if self._failed or line.startswith("------"):
            # At the end of a failed build, BuildKit repeats the output of the failed step.
            self._failed = True
            return [*self._take_header(), self._prefix + line]
        if STEP_HEADER.match(line):
            shown = self._take_header()
            if line not in self._seen:
                self._seen.add(line)
                self._header = (line, now)
            return shown
        if CACHED.match(line):
            self._header = None
            return []
        if FAILURE.search(line):
            return [*self._take_header(), self._prefix + line]
        if NOT_SHOWN.match(line):
            return self._take_header()
        if header := self._take_header():
            self._last_shown = now
            return header
        if now - self._last_shown < QUIET_SECONDS:
            return []
        self._last_shown = now
        return [self._prefix + OUTPUT.sub("", line)[:MAX_WIDTH]]

    def overdue(self, now: float) -> list[str]:
        """The header of a running step without output so far."""
        if self._header is None or now - self._header[1] < QUIET_SECONDS:
            return []
        self._last_shown = now
        return self._take_header()

    def _take_header(self) -> list[str]:
        header, self._header = self._header, None
        return [] if header is None else [self._prefix + " ".join(header[0].split())[:MAX_WIDTH]]


class LogFile:
    """Reads the lines added to a file; starts over if the file is replaced or truncated."""

    def __init__(self, path: Path, *, from_end: bool) -> None:
        self._path = path
        self._identity, self._offset = self._stat() if from_end else (0, 0)
        self._rest = ""

    def new_lines(self) -> list[str]:
        """Complete lines since the last call."""
        identity, size = self._stat()
        if identity != self._identity or size < self._offset:
            self._identity, self._offset, self._rest = identity, 0, ""
        if size == self._offset:
            return []
        with self._path.open(encoding="utf-8", errors="replace") as file:
            file.seek(self._offset)
            text = self._rest + file.read()
            self._offset = file.tell()
        *lines, self._rest = text.split("\n")
        return lines

    def _stat(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_ino, status.st_size


class BuildLogTail:
    """A context manager that shows what is written to the logs in a folder."""

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        self._folder = folder
        self._show_line = show
        self._ended = threading.Event()
        self._logs: dict[str, tuple[LogFile, BuildLogFilter]] = {}
        # Existing content belongs to an earlier build.
        for path in folder.glob("*.log"):
            self._add(path, from_end=True)

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _add(self, path: Path, *, from_end: bool) -> None:
        self._logs[path.stem] = (LogFile(path, from_end=from_end), BuildLogFilter(path.stem))

    def _run(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self._show()
        self._show()

    def _show(self) -> None:
        for path in sorted(self._folder.glob("*.log")):
            if path.stem not in self._logs:
                self._add(path, from_end=False)
        for log, log_filter in self._logs.values():
            now = time.monotonic()
            for line in log.new_lines():
                for text in log_filter.choose(line, now):
                    self._show_line(text)
            for text in log_filter.overdue(now):
                self._show_line(text)
