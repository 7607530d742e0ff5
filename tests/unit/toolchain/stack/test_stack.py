"""How a run that was cut off is recognised."""

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
from toolchain.stack.stack import DevStack, Lock, StackState, abandoned
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Progress


def lock_file(folder: Path, pid: int, hostname: str) -> Path:
    path = folder / "lock.json"
    content = {"pid": pid, "username": "someone", "hostname": hostname, "timestamp": "2026-01-01"}
    path.write_text(json.dumps(content))
    return path


def gone_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_lock_is_abandoned_once_its_process_is_gone(tmp_path: Path) -> None:
    assert abandoned(Lock.read(lock_file(tmp_path, gone_pid(), socket.gethostname())))


def test_a_lock_of_a_running_process_is_respected(tmp_path: Path) -> None:
    assert not abandoned(Lock.read(lock_file(tmp_path, os.getpid(), socket.gethostname())))


def test_a_lock_of_another_host_is_respected(tmp_path: Path) -> None:
    assert not abandoned(Lock.read(lock_file(tmp_path, gone_pid(), "another-host")))


def exported(**deployment: object) -> dict[str, object]:
    return {"version": 3, "deployment": deployment}


def test_a_fresh_stack_knows_no_container() -> None:
    state = StackState.from_export(exported(manifest={}))
    assert state == StackState(container_ids=frozenset(), interrupted=False, half_made=())


def test_the_containers_of_the_state_are_known_by_their_ids() -> None:
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


def test_only_what_this_stack_was_creating_may_be_cleared_away() -> None:
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
    assert state.half_made == (
        ("container", "chat-interface-1"),
        ("network", "llm-network-1"),
        ("volume", "chat-config-1"),
    )


def test_a_failed_update_says_that_it_can_be_continued_and_where_its_output_is(
    project: Project, progress: Progress, program: Callable[[str, str], None]
) -> None:
    program("pulumi", 'case "$*" in *export*) echo {} ;; *) exit 3 ;; esac')
    project.build_logs.mkdir()
    with pytest.raises(SetupError) as failure:
        DevStack(project, progress).up()
    assert "exit code 3" in str(failure.value)
    assert "run ./dev up again, and it continues where it stopped" in str(failure.value)
    assert ".state/logs/pulumi.log" in str(failure.value)
