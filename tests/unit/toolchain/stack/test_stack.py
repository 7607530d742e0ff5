"""The dev stack: interrupted runs, locks, its model hub."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.stack import stack as stack_module
from toolchain.stack.machine_settings import Reached
from toolchain.stack.stack import DevStack, Lock, StackState, abandoned
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Progress, Step


def lock_file(folder: Path, pid: int, hostname: str) -> Path:
    path = folder / "lock.json"
    content = {"pid": pid, "username": "someone", "hostname": hostname, "timestamp": "2026-01-01"}
    path.write_text(json.dumps(content))
    return path


def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_lock_of_an_ended_process_is_abandoned(tmp_path: Path) -> None:
    assert abandoned(Lock.read(lock_file(tmp_path, ended_pid(), socket.gethostname())))


def test_lock_of_a_running_process_is_respected(tmp_path: Path) -> None:
    assert not abandoned(Lock.read(lock_file(tmp_path, os.getpid(), socket.gethostname())))


def test_lock_of_another_host_is_respected(tmp_path: Path) -> None:
    assert not abandoned(Lock.read(lock_file(tmp_path, ended_pid(), "another-host")))


def exported(**deployment: object) -> dict[str, object]:
    return {"version": 3, "deployment": deployment}


def test_new_stack_has_no_containers() -> None:
    state = StackState.from_export(exported(manifest={}))
    assert state == StackState(container_ids=frozenset(), interrupted=False, unfinished=())


def test_container_ids_are_read_from_the_state() -> None:
    state = StackState.from_export(
        exported(
            resources=[
                {"type": "pulumi:pulumi:Stack"},
                {"type": "docker:index/container:Container", "id": "one"},
                {"type": "docker:index/container:Container", "id": ""},
                {"type": "docker:index/network:Network", "id": "network"},
            ]
        )
    )
    assert state.container_ids == {"one"}
    assert not state.interrupted


def pending(operation: str, kind: str, name: str, **options: bool) -> dict[str, object]:
    return {"type": operation, "resource": {"type": kind, "inputs": {"name": name}, **options}}


def test_only_unfinished_creations_are_removed() -> None:
    container, volume = "docker:index/container:Container", "docker:index/volume:Volume"
    state = StackState.from_export(
        exported(
            pending_operations=[
                pending("creating", container, "chat-interface-1"),
                pending("creating", "docker:index/network:Network", "llm-network-1"),
                pending("creating", volume, "chat-config-1"),
                pending("creating", volume, "dev-phi-models", retainOnDelete=True),
                pending("updating", container, "phi-inference-1"),
            ]
        )
    )
    assert state.interrupted
    assert state.unfinished == (
        ("container", "chat-interface-1"),
        ("network", "llm-network-1"),
        ("volume", "chat-config-1"),
    )


def test_failed_update_names_its_logs(
    project: Project, progress: Progress, program: Callable[[str, str], None]
) -> None:
    program("pulumi", 'case "$*" in *export*) echo {} ;; *) exit 3 ;; esac')
    project.build_logs.mkdir()
    with pytest.raises(SetupError) as failure:
        DevStack(project, progress).up()
    assert "exit code 3" in str(failure.value)
    assert "run ./dev up again to continue" in str(failure.value)
    assert ".state/logs/pulumi.log" in str(failure.value)


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hubs that were probed; all hosts are reachable."""
    hubs: list[str] = []

    def probe_hosts(hub: str) -> Reached:
        hubs.append(hub)
        return Reached(model_hub=True, engine_registry=True)

    monkeypatch.setattr(stack_module, "probe_hosts", probe_hosts)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub-of-the-shell.example.com")
    return hubs


def test_model_hub_of_the_stack_is_probed(
    project: Project, progress: Progress, step: Step, probed: list[str]
) -> None:
    project.stack_config.write_text(
        "config:\n  llm-stack:modelHub: https://hub.example.com # ours\n"
    )
    DevStack(project, progress).adapt(step)
    assert probed == ["https://hub.example.com"]


def test_model_hub_of_the_shell_is_probed_without_one_of_the_stack(
    project: Project,
    progress: Progress,
    step: Step,
    probed: list[str],
    program: Callable[[str, str], None],
) -> None:
    program("pulumi", 'echo "$@" >>calls')
    DevStack(project, progress).adapt(step)
    assert probed == ["https://hub-of-the-shell.example.com"]
    calls = (project.root / "calls").read_text()
    assert "set llm-stack:modelHub https://hub-of-the-shell.example.com" in calls
