"""The logs of a stack's containers on the real engine, also of those that start later."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator

import docker
import pytest
from docker.models.containers import Container

from tests.integration.conftest import PROJECT_ROOT

IMAGE = "python:3.11-slim"
STACK = f"logs-{os.getpid()}"
FOLLOW = f"""
import contextlib, os, signal
from toolchain.commands.logs import StackLogs
# As ./dev does.
signal.signal(signal.SIGTERM, signal.default_int_handler)
with contextlib.suppress(KeyboardInterrupt):
    StackLogs({STACK!r}, [], os.environ).show(tail="20", since=None, follow=True)
"""
# A line at the start, and one for each line of a file that a test appends to.
PRINTS = "echo {line}; true > /tmp/more; exec tail -f /tmp/more"

Start = Callable[[str, str], Container]


@pytest.fixture
def start() -> Iterator[Start]:
    engine = docker.from_env()
    started: list[Container] = []

    def run(service: str, line: str) -> Container:
        labels = {"llm-stack.stack": STACK, "llm-stack.service": service}
        container = engine.containers.run(
            IMAGE, ["sh", "-c", PRINTS.format(line=line)], labels=labels, detach=True, init=True
        )
        started.append(container)
        return container

    yield run
    for container in started:
        container.remove(force=True)


@pytest.fixture
def lines(start: Start) -> Iterator[Callable[[], str]]:
    """Follow two services; return a function that waits for the next line."""
    start("chat", "first")
    start("model", "second")
    printed: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOW], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        output = process.stdout
        assert output
        copy = threading.Thread(target=lambda: deque(map(printed.put, output), 0), daemon=True)
        copy.start()
        yield lambda: printed.get(timeout=30)
        process.terminate()
        copy.join()


def test_lines_are_followed_over_a_restart_and_in_a_new_container(
    start: Start, lines: Callable[[], str]
) -> None:
    assert {lines().split()[-1], lines().split()[-1]} == {"first", "second"}
    third = start("web", "third")
    assert lines().split()[0::3] == ["web", "third"]
    third.exec_run(["sh", "-c", "echo fourth >> /tmp/more"])
    assert lines().split()[0::3] == ["web", "fourth"]
    third.restart(timeout=1)
    # The line of its first run is not printed again.
    assert lines().split()[0::3] == ["web", "third"]
    third.exec_run(["sh", "-c", "echo fifth >> /tmp/more"])
    assert lines().split()[0::3] == ["web", "fifth"]
