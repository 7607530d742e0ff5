"""Fixtures that run the program with the recording double of Pulumi's engine."""

from __future__ import annotations

import asyncio
import gc
import json
import runpy
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pulumi
import pytest
from pulumi.runtime import get_root_resource

from components.config.files import stack_source
from tests.doubles.recording_engine import (
    Graph,
    RecordingCallbacks,
    RecordingMocks,
    RecordingMonitor,
    StackRunner,
)

PROJECT_ROOT = Path(__file__).parents[3]


async def _callbacks() -> RecordingCallbacks:
    return RecordingCallbacks()


async def _settled(exports: dict[str, Any], graph: Graph) -> None:
    for name, value in exports.items():
        output = pulumi.Output.from_input(value)
        graph.outputs[name] = await output.future()
        if await output.is_secret():
            graph.secret_outputs.add(name)


def _full_key(key: str) -> str:
    """The full key: of this project, unless it has the prefix of another one."""
    return key if ":" in key else f"llm-stack:{key}"


@pytest.fixture(autouse=True)
def event_loop_of_the_program() -> Iterator[None]:
    """Set an event loop: Pulumi uses the current one, and asynchronous tests remove theirs."""
    # A runner cancels pending tasks when it closes, such as outputs that were not awaited.
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield
        asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def no_settings_of_this_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings come from the test, and not from a stack that someone has brought up here."""
    monkeypatch.setattr(
        "components.config.loading.stack_source", partial(stack_source, folder=tmp_path)
    )


@pytest.fixture
def run_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[StackRunner]:
    """Run the real `__main__.py` of this project with the recording engine."""

    def run(
        config: dict[str, Any], secrets: dict[str, str] | None = None, stack: str = "test"
    ) -> Graph:
        mocks = RecordingMocks()
        monitor = RecordingMonitor(mocks)
        encoded = {
            _full_key(key): value if isinstance(value, str) else json.dumps(value)
            for key, value in {**config, **(secrets or {})}.items()
        }
        pulumi.runtime.set_all_config(encoded, [_full_key(key) for key in secrets or {}])
        monkeypatch.setattr("pulumi.runtime.resource._get_callbacks", _callbacks)
        pulumi.runtime.set_mocks(mocks, project="llm-stack", stack=stack, monitor=monitor)
        if root := get_root_resource():
            # Mocks keep one root resource: remove the previous program's transformations.
            root._transformations = []
        monkeypatch.chdir(PROJECT_ROOT)
        exports: dict[str, Any] = {}
        # Without an engine, the stack has no outputs to export.
        monkeypatch.setattr(pulumi, "export", exports.__setitem__)

        def program() -> pulumi.Output[None]:
            runpy.run_path("__main__.py")
            return pulumi.Output.from_input(_settled(exports, monitor.graph))

        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]  # of the SDK
        return monitor.graph

    # The message is more useful than the exit code.
    def stop(message: str) -> NoReturn:
        raise pulumi.RunError(message)

    monkeypatch.setattr("components.plan.loading.stop", stop)
    # Unit tests do not use a Docker engine.
    monkeypatch.setattr("components.preflight.checks.ask_engine", lambda host: None)
    monkeypatch.setattr("components.preflight.checks.list_engine", lambda host, on_swarm: None)
    monkeypatch.setattr("components.preflight.state._pulumi", lambda: None)
    interrupt = signal.getsignal(signal.SIGINT)
    yield run
    signal.signal(signal.SIGINT, interrupt)
    gc.enable()
    pulumi.runtime.set_all_config({}, [])


@dataclass(frozen=True)
class Project:
    """A copy of this project with a catalogue of its own."""

    folder: Path
    run_program: StackRunner

    def write(self, path: str, content: str | bytes, *, mode: int = 0o644) -> Path:
        """Write a file of the project."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
        return file

    def run(self, catalogue: str, secrets: dict[str, Any] | None = None, **config: Any) -> Graph:
        """Run the program with this services.yaml, and all its services unless it names some."""
        self.write("services.yaml", catalogue)
        defaults = {"services": "all", "monitor": {"socketGroup": 999}}
        encoded = {key: json.dumps(value) for key, value in (secrets or {}).items()}
        return self.run_program({**defaults, **config}, encoded)

    def refusal(self, catalogue: str, *args: Any, **config: Any) -> list[str]:
        """Run it and return the problems that it reports, one a line."""
        with pytest.raises(pulumi.RunError) as refusal:
            self.run(catalogue, *args, **config)
        return str(refusal.value).splitlines()


@pytest.fixture
def project(run_program: StackRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose program and images are those of this one."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("__main__.py", "app", "docker", "toolchain", "requirements.lock"):
        (folder / name).symlink_to(PROJECT_ROOT / name)
    monkeypatch.setattr(f"{__name__}.PROJECT_ROOT", folder)
    return Project(folder, run_program)
