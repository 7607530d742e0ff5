"""Processes of this machine: descendants, memory, processor time, and those of one container."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.25


def descendants(root: int) -> list[int]:
    """A process and all that it and its children started."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid in _all():
        with contextlib.suppress(OSError):
            children[int(_stat(pid)[1])].append(pid)
    found, queue = [], [root]
    while queue:
        found.append(queue.pop())
        queue += children[found[-1]]
    return found


def of_container(identifier: str) -> list[int]:
    """Processes of a container of any engine of this machine, also in a PID namespace."""
    found = []
    for pid in _all():
        with contextlib.suppress(OSError):
            if identifier in (PROC / str(pid) / "cgroup").read_text():
                found.append(pid)
    return sorted(found)


def name(pid: int) -> str:
    """The file name of the program; empty if the process has ended."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "exe").readlink().name
    return ""


def resident(pid: int) -> int:
    """Bytes of the process alone in memory: pages of shared files count for no process."""
    return 1024 * _status(pid, "RssAnon:")


def highest(pid: int) -> int:
    """The highest resident set in bytes, with pages of files."""
    return 1024 * _status(pid, "VmHWM:")


def cpu_seconds(pid: int) -> float:
    """Processor time, with that of children that ended; 0 if the process has ended."""
    with contextlib.suppress(OSError):
        return sum(map(int, _stat(pid)[11:15])) / TICKS
    return 0.0


@contextlib.contextmanager
def peaks(root: int) -> Iterator[dict[str, int]]:
    """Fills the highest memory in bytes of each program that the process and its children run."""
    found: dict[str, int] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_SECONDS):
            for pid in descendants(root):
                if (most := highest(pid)) and (program := name(pid)):
                    found[program] = max(found.get(program, 0), most)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def _all() -> list[int]:
    return [int(entry) for entry in os.listdir(PROC) if entry.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the program's name: state, parent, …"""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _status(pid: int, key: str) -> int:
    """A figure of /proc/PID/status; 0 if the process has ended."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1])
    return 0
