"""The services that may be restarted, from a file that changes while the restarter runs.

Docker does not replace a file in one step: it may be missing or incomplete for a moment. Then, and
when it is not valid, the services of the last valid content count: nothing is ever allowed that no
valid list has named.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.restarter.settings import SettingsError, read_services

START_SECONDS = 5.0
"""How long the first read may fail before that is an error."""


class AllowedServices:
    """Reads the file at each request: it is small, and requests are rare.

    :param report: receives each problem once.
    """

    def __init__(self, path: str, report: Callable[[str], None]) -> None:
        self._path = path
        self._report = report
        self._lock = threading.Lock()
        self._problem: str | None = None
        self._services = _first(path)

    def __call__(self) -> tuple[str, ...]:
        with self._lock:
            try:
                self._services = read_services(self._path)
                self._problem = None
            except SettingsError as error:
                if str(error) != self._problem:
                    self._report(str(error))
                self._problem = str(error)
            return self._services


def _first(path: str) -> tuple[str, ...]:
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            return read_services(path)
        except SettingsError:
            if time.monotonic() >= ends:
                raise
            time.sleep(0.1)
