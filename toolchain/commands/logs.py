"""Shows the logs of all services of a stack in one stream, in the order of their time."""

from __future__ import annotations

import heapq
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from toolchain.project import NAME
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import Result, capture

STACK = f"{NAME}.stack"
SERVICE = f"{NAME}.service"
# Seconds after the start of a container in which `docker logs` of its last run ends.
ENDS_WITHIN = 2
# The length of a time to the millisecond; Docker prints nanoseconds.
MILLISECONDS = 23
# ANSI colours that are readable on dark and on light backgrounds.
_COLOURS = (36, 33, 32, 35, 34, 31)
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z) ?")
# A program's own colours; and what else could move the cursor or set the title of a terminal.
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Source:
    """A container, or a service of a Swarm."""

    service: str
    id: str
    command: tuple[str, ...]
    """`docker logs`, or `docker service logs`."""


class LineWriter:
    """Writes lines of several services, each with its name and its time."""

    def __init__(self, out: TextIO, environ: Mapping[str, str]) -> None:
        self._out = out
        self._coloured = out.isatty() and not environ.get("NO_COLOR")
        self._colours: dict[str, int] = {}
        self._width = 0
        self._lock = threading.Lock()

    def expect(self, services: Sequence[str]) -> None:
        """Make the column of names wide enough, and give each service its colour."""
        for service in services:
            self._width = max(self._width, len(service))
            self._colours.setdefault(service, _COLOURS[len(self._colours) % len(_COLOURS)])

    def write(self, service: str, line: str) -> None:
        """Write one line as `docker logs --timestamps` prints it."""
        stamp = _STAMP.match(line)
        text = line[stamp.end() :] if stamp else line
        text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _STYLE.sub("", text))
        time = f"{stamp[1].rstrip('Z')[:MILLISECONDS]}Z " if stamp else ""
        name = f"{service:<{self._width}}"
        if self._coloured:
            name = f"\033[{self._colours[service]}m{name}\033[0m"
        with self._lock:
            self._out.write(f"{name} | {time}{text}\n")
            self._out.flush()


class StackLogs:
    """The logs of a stack on one engine or on a Swarm."""

    def __init__(
        self,
        stack: str,
        services: Sequence[str],
        environment: Mapping[str, str],
        out: TextIO = sys.stdout,
    ) -> None:
        self._stack = stack
        self._services = services
        self._environment = environment
        self._writer = LineWriter(out, environment)
        self._processes: list[subprocess.Popen[str]] = []
        self._readers: dict[str, threading.Thread] = {}
        self._latest: dict[str, str] = {}
        self._output_closed = False

    def show(self, *, tail: str, since: str | None, follow: bool) -> None:
        """Print the last lines of each service by their time, then what follows.

        Raises `SetupError` if a service has no container, `BrokenPipeError` where the output ends.
        """
        # Before the list, so that no container starts unnoticed between the two.
        started = self._events() if follow else None
        try:
            sources = self._sources()
            self._writer.expect([source.service for source in sources])
            options = ["--tail", tail, *(["--since", since] if since else [])]
            histories = [self._history(source, options) for source in sources]
            for _, service, line in heapq.merge(*histories, key=lambda one: one[0]):
                self._writer.write(service, line)
            if started:
                self._follow(sources, started)
        finally:
            self._stop()

    def _stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for reader in self._readers.values():
            reader.join()
        for process in self._processes:
            # Closes the pipe, and waits for the end.
            with process:
                pass

    def _sources(self) -> list[Source]:
        found = self._list("service", ("service", "ls"), ".Spec.Labels", ("service", "logs"))
        if not found:
            found = self._list("container", ("ps", "--all"), ".Config.Labels", ("logs",))
        known = {source.service for source in found}
        if not known:
            raise SetupError(f"The stack {self._stack} has no containers on this engine.")
        if unknown := [name for name in self._services if name not in known]:
            raise SetupError(
                f"The stack {self._stack} has no container of {', '.join(unknown)}; "
                f"it has {', '.join(sorted(known))}."
            )
        return [one for one in found if self._wanted(one.service)]

    def _wanted(self, service: str) -> bool:
        return not self._services or service in self._services

    def _list(
        self, kind: str, listing: Sequence[str], labels: str, logs: tuple[str, ...]
    ) -> list[Source]:
        """The containers or the services of this stack; no services without a Swarm."""
        listed = self._docker(*listing, "--quiet", "--filter", f"label={STACK}={self._stack}")
        if not listed.ok and kind == "container":
            raise SetupError(f"docker {listing[0]} failed:\n{listed.err.strip()}")
        if not listed.out.split():
            return []
        line = f'{{{{.ID}}}} {{{{index {labels} "{SERVICE}"}}}}'
        found = self._docker(kind, "inspect", "--format", line, *listed.out.split())
        # The carriers of files have no service, and never run.
        pairs = [one.split() for one in found.out.splitlines()]
        return [Source(pair[1], pair[0], logs) for pair in pairs if len(pair) == 2]

    def _docker(self, *args: str) -> Result:
        return capture(["docker", *args], env=self._environment)

    def _history(self, source: Source, options: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Time, service and line; a line without a time has that of the line before."""
        for line in _lines(self._logs(source, options)):
            if stamp := _STAMP.match(line):
                self._latest[source.id] = stamp[1]
            yield self._latest.get(source.id, ""), source.service, line

    def _logs(self, source: Source, options: Sequence[str]) -> subprocess.Popen[str]:
        raw = ["--raw"] if source.command[0] == "service" else []
        return self._start(*source.command, "--timestamps", *raw, *options, source.id)

    def _events(self) -> subprocess.Popen[str]:
        """Prints the container and its service at each start."""
        service = f'{{{{index .Actor.Attributes "{SERVICE}"}}}}'
        return self._start(
            "events", "--filter", "type=container", "--filter", "event=start",
            "--filter", f"label={STACK}={self._stack}", "--format", f"{{{{.ID}}}} {service}",
        )  # fmt: skip

    def _start(self, *args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["docker", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(self._environment),
        )
        self._processes.append(process)
        return process

    def _follow(self, sources: Sequence[Source], started: subprocess.Popen[str]) -> None:
        """Print new lines, also of containers that start later, until the program is stopped."""
        for source in sources:
            self._read(source)
        if sources[0].command[0] == "service":
            # `docker service logs` follows the later tasks of a service itself.
            for reader in self._readers.values():
                reader.join()
            return
        for line in _lines(started):
            identity, _, service = line.partition(" ")
            if service and self._wanted(service):
                self._writer.expect([service])
                self._read(Source(service, identity, ("logs",)))
        if self._output_closed:
            raise BrokenPipeError

    def _read(self, source: Source) -> None:
        """Start to print the lines of a container that were not printed yet."""
        if reader := self._readers.get(source.id):
            # Its `docker logs` ends when the container stops, shortly before it starts again.
            reader.join(ENDS_WITHIN)
            if reader.is_alive():
                return
        reader = threading.Thread(target=self._copy, args=[source], daemon=True)
        self._readers[source.id] = reader
        reader.start()

    def _copy(self, source: Source) -> None:
        after = self._latest.get(source.id, "")
        # Docker prints the line of that moment again.
        since = ["--since", after] if after else []
        for line in _lines(self._logs(source, ["--follow", *since])):
            stamp = _STAMP.match(line)
            if stamp and stamp[1] <= after:
                continue
            if stamp:
                self._latest[source.id] = stamp[1]
            try:
                self._writer.write(source.service, line)
            except BrokenPipeError:
                self._output_closed = True
                # `docker events`, at whose end `_follow` ends.
                self._processes[0].terminate()
                return


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.rstrip("\r\n") for line in process.stdout)
