"""How a run that was cut off is recognised."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from toolchain.containers import Container
from toolchain.stack import Lock, StackState, abandoned, strays


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


def container(identity: str) -> Container:
    return Container(
        id=identity, name=identity, service="chat", status="running", health=None, restarts=0
    )


def exported(**deployment: object) -> dict[str, object]:
    return {"version": 3, "deployment": deployment}


def test_a_fresh_stack_knows_no_container() -> None:
    state = StackState.from_export(exported(manifest={}))
    assert state == StackState(container_ids=frozenset(), interrupted=False)


def test_a_container_that_only_the_engine_knows_is_a_stray() -> None:
    state = StackState.from_export(
        exported(
            resources=[
                {"type": "pulumi:pulumi:Stack"},
                {"type": "docker:index/container:Container", "id": "kept"},
                {"type": "docker:index/container:Container", "id": ""},
                {"type": "docker:index/network:Network", "id": "network"},
            ],
            pending_operations=[{"type": "creating"}],
        )
    )
    assert state.interrupted
    assert [one.id for one in strays([container("kept"), container("lost")], state)] == ["lost"]
