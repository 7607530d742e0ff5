"""Files that change while a program runs: read again each second, applied when they are valid.

Docker does not replace a file in a volume in one step, so a reader may find a file that is missing,
empty or incomplete for a moment. A JSON object without its end is not JSON: what is read is either
complete or refused, and then the program keeps what it has and reads again.
"""

from __future__ import annotations

import asyncio
import http.client
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from app.shared.json_log import Log
from app.shared.settings_file import SettingsError

_log = Log(__name__)

READ_EVERY = 1.0
"""Seconds between two reads. A change of a list has to be visible within five."""
START_SECONDS = 5.0
"""How long the first read may be refused before that is an error."""

LONGEST_BYTES = 8 * 2**20
_REQUEST_SECONDS = 3.0

Contents = Mapping[str, bytes]
"""By location. What cannot be read is left out."""
Value = TypeVar("Value")

# The lists of a Swarm come from a service of the stack, never by way of a proxy.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def contents_of(locations: Iterable[Path | str]) -> Contents:
    """The contents of files and `http://` URLs, in the form that `Watched` compares."""
    found = {}
    for location in locations:
        try:
            found[str(location)] = _read(str(location))
        except (OSError, http.client.HTTPException):
            continue
    return found


def _read(location: str) -> bytes:
    """At most `LONGEST_BYTES`: what is longer is not complete, and so not valid."""
    if location.startswith("http://"):
        with _direct.open(location, timeout=_REQUEST_SECONDS) as response:
            content: bytes = response.read(LONGEST_BYTES)
            return content
    with Path(location).open("rb") as file:
        return file.read(LONGEST_BYTES)


class Watched(Generic[Value]):
    """A value that is made from contents that change.

    :param name: for the log and metrics.
    :param read: returns the present contents; it runs in a thread.
    :param parse: makes the value; raises SettingsError for contents that are not valid.
    :param apply: receives each new value, in the event loop.
    :param seconds: between two reads.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Contents],
        parse: Callable[[Contents], Value],
        apply: Callable[[Value], None] = lambda _: None,
        seconds: float = READ_EVERY,
    ) -> None:
        self.problem: str | None = None
        """Why the present contents are not used; None if they are."""
        self.applied_at = time.time()
        """When the value last changed, in seconds since the epoch."""
        self.apply = apply
        self.name = name
        self._read = read
        self._parse = parse
        self._seconds = seconds
        self._contents: Contents | None = None

    def first(self, patience: float | None = None) -> Value:
        """The value at the start of the program, which `apply` does not receive.

        Blocks while the contents are not valid. Raises SettingsError after `patience` seconds,
        by default START_SECONDS.
        """
        ends = time.monotonic() + (START_SECONDS if patience is None else patience)
        while True:
            contents = self._read()
            try:
                value = self._parse(contents)
            except SettingsError:
                if time.monotonic() >= ends:
                    raise
                time.sleep(min(self._seconds, 0.1))
                continue
            self._contents = contents
            return value

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            await self.check()

    async def check(self) -> None:
        """Read once; apply what is new and valid."""
        contents = await asyncio.to_thread(self._read)
        if contents == self._contents:
            self._accepted()
            return
        try:
            value = self._parse(contents)
            self.apply(value)
        except SettingsError as error:
            self._refused(str(error))
        except Exception as error:
            # A defect here must not end the program that works with the earlier value.
            if self.problem is None:
                _log.exception("a changed file cannot be applied", file=self.name)
            self.problem = f"cannot be applied: {type(error).__name__}"
        else:
            self._contents = contents
            self.applied_at = time.time()
            self._accepted()
            _log.info("a changed file is applied", file=self.name)

    def _accepted(self) -> None:
        if self.problem is not None:
            self.problem = None
            _log.info("a file is valid again", file=self.name)

    def _refused(self, problem: str) -> None:
        """Log each problem once."""
        if problem != self.problem:
            _log.warning(
                "a changed file is not valid; the earlier content stays in use",
                file=self.name,
                reason=problem,
            )
        self.problem = problem


def content_at(contents: Contents, location: Path | str) -> bytes:
    """The content of one location; raises SettingsError where it cannot be read."""
    try:
        return contents[str(location)]
    except KeyError:
        raise SettingsError(f"{location}: cannot be read") from None


def watched_file(
    path: Path | str,
    parse: Callable[[bytes], Value],
    apply: Callable[[Value], None] = lambda _: None,
    seconds: float = READ_EVERY,
) -> Watched[Value]:
    """Watch one file or URL. `parse` raises SettingsError for content that is not valid."""
    return Watched(
        str(path),
        lambda: contents_of([path]),
        lambda contents: parse(content_at(contents, path)),
        apply,
        seconds,
    )
