"""From a saved edit to a chat that serves it: `python -m benchmarks.edit_to_served [--compose …]`.

Changes a line of the chat's program, so that its health endpoint returns another text; then updates
the stack, with `pulumi up` and with `docker compose up --build` of the same container. "served" is
the time until a client first receives the new text, "done" until the command has ended. The client
sends a request every 20 ms: "silent" is the longest time without a response. Prints a Markdown
table and removes its resources. Needs `. toolchain/activate`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import secrets
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import docker

from benchmarks.deployment import (
    UP,
    Compose,
    compose_program,
    our_project,
    remove_volumes,
    stack_containers,
    write_catalogue,
)
from tests.ports import free_port

CHAT = "chat-interface"
SOURCE = Path("app/chat/api/routes.py")
HEALTH_BODY = '{"status": "ok"}'
EDITS = 5
ASK_SECONDS = 0.02
TIMEOUT_SECONDS = 120

Urls = Callable[[], list[str]]


@dataclass
class Edit:
    """Seconds until an edit was served, until the command ended, and without a response."""

    served: float
    done: float
    silent: float


@dataclass
class Client:
    """Polls the chat's health endpoint and records the responses."""

    urls: Urls
    """Returns the current URLs of the chat; all are polled in turn."""
    responses: list[tuple[float, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._ask, args=(done,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _ask(self, done: threading.Event) -> None:
        while not done.wait(ASK_SECONDS):
            for url in self.urls():
                # A container that was just removed does not respond: use a short timeout.
                with (
                    contextlib.suppress(OSError),
                    urllib.request.urlopen(url, timeout=0.2) as answer,
                ):
                    self.responses.append((time.perf_counter(), answer.read().decode()))

    def first(self, text: str) -> float:
        """Wait for a response with this text; return the time of the first one."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            for at, body in self.responses:
                if text in body:
                    return at
            time.sleep(ASK_SECONDS)
        raise SystemExit(f"the chat did not return {text} within {TIMEOUT_SECONDS} s")

    def silence(self) -> float:
        """The longest time between two responses."""
        times = [at for at, _ in self.responses]
        return max(after - before for before, after in itertools.pairwise(times))


def change(program: Path) -> str:
    """Change one line of the chat's program; return the text of its next health responses."""
    status = f"edit-{secrets.token_hex(4)}"
    text = SOURCE.read_text(encoding="utf-8")
    assert HEALTH_BODY in text
    edited = text.replace(HEALTH_BODY, f'{{"status": "{status}"}}')
    (program / SOURCE).write_text(edited, encoding="utf-8")
    return status


def edit(program: Path, urls: Urls, update: Callable[[], object]) -> Edit:
    """Change the line, update, and measure with a client."""
    client = Client(urls)
    with client.polling():
        status = change(program)
        saved = time.perf_counter()
        update()
        done = time.perf_counter()
        served = client.first(status)
    return Edit(served - saved, done - saved, client.silence())


def measure(name: str, program: Path, urls: Urls, update: Callable[[], object]) -> str:
    """A row of the table: medians over the edits."""
    edits = []
    for number in range(1, EDITS + 1):
        edits.append(edit(program, urls, update))
        print(f"    {name}, {number} of {EDITS}: {edits[-1]}", flush=True)
    figures = zip(*((one.served, one.done, one.silent) for one in edits), strict=True)
    return f"| {name} | {' | '.join(f'{median(of):.1f}' for of in figures)} |"


def chat_urls(engine: docker.DockerClient, stack: str) -> list[str]:
    """The health URL of every running chat container."""
    return [
        f"http://{network['IPAddress']}:8080/health"
        for container in stack_containers(engine, stack)
        if container.labels["llm-stack.service"] == CHAT
        for network in container.attrs["NetworkSettings"]["Networks"].values()
        if network["IPAddress"]
    ]


def rows(directory: Path, compose: list[str] | None) -> Iterator[str]:
    """This project without and with a host port, and Compose with one."""
    engine = docker.from_env()
    project = our_project(directory)
    write_catalogue(project, 1)
    port = free_port()
    on_host = [f"http://127.0.0.1:{port}/health"]
    stack = project.stack
    try:
        project.run(*UP)
        yield measure(
            "this project, old and new version in parallel",
            project.program,
            lambda: chat_urls(engine, stack),
            lambda: project.run(*UP),
        )
        project.run("config", "set", "--path", f"llm-stack:hostPorts.{CHAT}", str(port))
        project.run(*UP)
        yield measure(
            "this project, with a host port",
            project.program,
            lambda: on_host,
            lambda: project.run(*UP),
        )
        if not compose:
            return
        (directory / "beside").mkdir()
        containers = [
            one
            for one in stack_containers(engine, stack)
            if one.labels["llm-stack.service"] == CHAT
        ]
        beside = Compose(compose, directory / "beside", containers)
        service = beside.content["services"][CHAT]
        service["ports"] = [f"127.0.0.1:{port}:8080"]
        service["build"] = {
            "context": str(project.program / "app"),
            "dockerfile": str(project.program / "docker/chat.Dockerfile"),
        }
        project.run("destroy", "--yes", "--skip-preview")
        image = service["image"] = f"llm-stack-bench/{stack}"
        beside.write()
        built: set[str] = set()

        def update() -> None:
            beside.run("up", "--detach", "--build")
            built.add(str(engine.images.get(image).id))

        try:
            update()
            yield measure("compose, with a host port", project.program, lambda: on_host, update)
        finally:
            beside.run("down", "--volumes")
            for one in built:
                engine.images.remove(one, force=True)
    finally:
        project.run("destroy", "--yes", "--skip-preview")
        remove_volumes(engine, stack)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compose", help="command of Docker Compose, if not on PATH")
    options = parser.parse_args()
    os.environ["DOCKER_BUILDKIT"] = "1"
    compose = compose_program(options.compose)
    with tempfile.TemporaryDirectory(prefix="llm-stack-bench-") as directory:
        table = list(rows(Path(directory), compose))
    print(f"\nSeconds, the median of {EDITS} edits.\n")
    print("| method | served | done | silent |\n|---|---:|---:|---:|")
    print("\n".join(table))


if __name__ == "__main__":
    main()
