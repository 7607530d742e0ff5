"""The faults: each is made, and repaired by what repairs it in a stack in use."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.chaos.observer import Observer
from benchmarks.chaos.stack import (
    CHAT,
    CHAT_PORT,
    CLOCK_FILE,
    MODEL,
    MONITOR,
    RESTARTER,
    TUNNEL,
    ChaosStack,
    wait_for,
)
from tests.integration.test_repair import interrupted

# Beside it, the model server is what the kernel ends first.
GREEDY = "found = []\nwhile True: found.append(b'x' * 2**20)"
OWN_REPAIR = "the stack"
BY_HAND = "a person"
BY_UPDATE = "`pulumi up`"
USAGE_PATH = "/var/lib/chat"
SELF_REPAIR_SECONDS = 120.0
DISK = "size=1m"
FULL_SECONDS = 45.0
"""More than one interval of the monitor."""


@dataclass
class Scene:
    """What a fault may use, and what it reports of itself."""

    stack: ChaosStack
    observer: Observer
    began: float = 0.0
    service: str = MODEL
    """The service whose states, alerts and recovery count."""
    repaired_by: str = OWN_REPAIR
    detected: float | None = None
    repaired: float | None = None
    ended: float | None = None
    """When what the fault needs is taken away; requests that fail afterwards are not counted."""
    notes: list[str] = field(default_factory=list)

    def begin(self, service: str = MODEL) -> None:
        """Mark the moment of the fault."""
        self.began, self.service = time.time(), service

    def failed_then_works(self) -> None:
        """Wait for a failure in the monitor's API, and for the recovery after it."""
        failed = self.observer.wait_until_failed(self.service, self.began)
        self.detected = failed.at
        self.repaired = self.observer.wait_until_works(self.service, failed.at).at


def hang(scene: Scene) -> None:
    scene.begin()
    scene.stack.signal(MODEL, signal.SIGSTOP)
    scene.failed_then_works()


def killed(scene: Scene) -> None:
    before = scene.stack.container(MODEL).attrs["State"]["StartedAt"]
    scene.begin()
    scene.stack.signal(MODEL, signal.SIGKILL)
    started_again(scene, MODEL, before)


def started_again(scene: Scene, service: str, before: str) -> None:
    """Wait until the engine has started a container again, which the monitor need not see."""
    wait_for(
        lambda: scene.stack.container(service).attrs["State"]["StartedAt"] != before or None,
        f"another start of {service}",
    )
    scene.notes.append("Docker starts it again")


def out_of_memory(scene: Scene) -> None:
    container = scene.stack.container(MODEL)
    before = container.attrs["State"]["StartedAt"]
    for pid in scene.stack.processes(MODEL):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
    scene.begin()
    # A server that is killed takes this program with it.
    container.exec_run(["python3", "-c", GREEDY])
    started_again(scene, MODEL, before)


def network_cut(scene: Scene) -> None:
    container = scene.stack.container(MODEL)
    ((name, endpoint),) = container.attrs["NetworkSettings"]["Networks"].items()
    network = scene.stack.engine.networks.get(name)
    scene.begin()
    network.disconnect(container)
    scene.observer.wait_for_alert(MODEL, "failed", scene.began)
    held = wait_for(
        lambda: scene.observer.first(MODEL, scene.began, lambda one: "network" in one.held),
        "the network as the cause",
    )
    scene.notes.append(f"not restarted after {held.at - scene.began:.0f} s: {held.held}")
    scene.repaired_by = BY_HAND
    reconnected = time.time()
    network.connect(container, aliases=endpoint["Aliases"])
    scene.failed_then_works()
    if scene.repaired:
        scene.notes.append(f"{scene.repaired - reconnected:.0f} s after it was connected again")


def disk_full(scene: Scene) -> None:
    """The usage store on a disk of 1 MiB, which becomes full."""
    with small_disk(scene) as folder:
        scene.begin(CHAT)
        filler = folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        wait_for(lambda: scene.observer.usage_is_written() is False or None, "a refused write")
        scene.notes.append(f"the gateway's own metric after {time.time() - scene.began:.0f} s")
        time.sleep(FULL_SECONDS)
        filler.unlink()
        wait_for(lambda: scene.observer.usage_is_written() or None, "a write")
        scene.repaired, scene.repaired_by = time.time(), BY_HAND
        scene.ended = scene.repaired
        if failed := scene.observer.first(CHAT, scene.began, lambda one: not one.works):
            scene.detected = failed.at


@contextlib.contextmanager
def small_disk(scene: Scene) -> Iterator[Path]:
    """Put the usage of the chat on a small disk; the container starts again before and after."""
    stack = scene.stack
    chat = stack.container(CHAT)
    folder = stack.volume_folder(CHAT, USAGE_PATH)
    engine = stack.engine_process()
    inside = ["nsenter", "--mount", f"--target={engine}"]
    owner = f"uid={folder.stat().st_uid},gid={folder.stat().st_gid},mode=0700"
    chat.stop()
    options = f"{DISK},{owner}"
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    chat.start()
    scene.observer.wait_until_quiet()
    try:
        yield Path(f"/proc/{engine}/root{folder}")
    finally:
        chat.stop()
        subprocess.run([*inside, "umount", folder], check=True)
        chat.start()


def monitor_killed(scene: Scene) -> None:
    scene.begin(MONITOR)
    scene.stack.signal(MONITOR, signal.SIGKILL)
    away = wait_for(
        lambda: next((one for one in scene.observer.away if one[1] > scene.began), None),
        "the status page",
    )
    scene.detected, scene.repaired = away
    scene.notes.append("Docker starts it again")


def part_killed(service: str) -> Callable[[Scene], None]:
    """Of a service that the monitor does not check."""

    def fault(scene: Scene) -> None:
        before = scene.stack.container(service).attrs["State"]["StartedAt"]
        scene.begin(service)
        scene.stack.signal(service, signal.SIGKILL)
        started_again(scene, service, before)
        scene.repaired = time.time()

    return fault


def restarter_without_threads(scene: Scene) -> None:
    """A hang while the restarter cannot start a thread for the request to restart."""
    limit = scene.stack.limit_of_processes(RESTARTER)
    before = limit.read_text()
    limit.write_text("1")
    try:
        scene.begin()
        scene.stack.signal(MODEL, signal.SIGSTOP)
        scene.observer.wait_for_alert(MODEL, "restart_failed", scene.began)
        seen = scene.observer.last(MODEL)
        scene.notes.append(seen.held if seen else "")
    finally:
        limit.write_text(before)
    lifted = time.time()
    scene.repaired_by = f"{BY_HAND} (the limit), then the stack"
    scene.failed_then_works()
    if scene.repaired:
        scene.notes.append(f"{scene.repaired - lifted:.0f} s after the limit was lifted")


def clock(offset: str) -> Callable[[Scene], None]:
    """A hang after the clock of the monitor and of the restarter was set."""

    def fault(scene: Scene) -> None:
        for service in (MONITOR, RESTARTER):
            command = f"echo '{offset}' > {CLOCK_FILE}.new && mv {CLOCK_FILE}.new {CLOCK_FILE}"
            result = scene.stack.container(service).exec_run(["sh", "-c", command])
            if result.exit_code:
                raise RuntimeError(str(result.output))
        hang(scene)

    return fault


def engine_ended(number: signal.Signals) -> Callable[[Scene], None]:
    """What starts the engine again is the rig, as systemd does."""

    def fault(scene: Scene) -> None:
        pid = scene.stack.engine_process()
        scene.begin()
        os.kill(pid, number)
        wait_for(lambda: processes.name(pid) != "dockerd" or None, "the end of the engine")
        wait_for(scene.stack.engine_answers, "the engine")
        scene.notes.append(f"the engine answers after {time.time() - scene.began:.0f} s")
        try:
            scene.observer.wait_until_quiet(within=SELF_REPAIR_SECONDS)
        except TimeoutError:
            states = {one.status for one in scene.stack.containers().values()}
            scene.notes.append(f"containers: {', '.join(sorted(states))}")
            update(scene, "stopped outside of Pulumi")

    return fault


def container_removed(scene: Scene) -> None:
    scene.begin()
    scene.stack.container(MODEL).remove(force=True)
    scene.observer.wait_for_alert(MODEL, "failed", scene.began)
    wait_for(lambda: scene.observer.first(MODEL, scene.began, lambda one: bool(one.held)), "held")
    update(scene, "removed outside of Pulumi")
    scene.failed_then_works()


def secret_volume_removed(scene: Scene) -> None:
    stack = scene.stack
    container = stack.container(RESTARTER)
    mounts = container.attrs["Mounts"]
    volume = next(one["Name"] for one in mounts if one["Destination"] == "/run/secrets")
    scene.begin(RESTARTER)
    container.remove(force=True)
    users = [
        one
        for one in stack.engine.containers.list(all=True, ignore_removed=True)
        if volume in [mount.get("Name") for mount in one.attrs["Mounts"]]
    ]
    for one in users:
        one.remove(force=True)
    stack.engine.volumes.get(volume).remove()
    update(scene, volume)
    stack.container(RESTARTER)
    scene.repaired = time.time()


def update(scene: Scene, expected: str) -> None:
    """Run a preview, which has to report the fault, and the update that repairs it."""
    began = time.time()
    preview = " ".join(scene.stack.pulumi("preview").stdout.split())
    scene.notes.append(f"preview ({time.time() - began:.0f} s) reports it: {expected in preview}")
    began = time.time()
    scene.stack.up()
    scene.notes.append(f"`pulumi up` takes {time.time() - began:.0f} s")
    scene.repaired_by = BY_UPDATE


def orphan(scene: Scene) -> None:
    """An update that is killed while it creates a container."""
    scene.begin(MONITOR)
    left = interrupted(scene.stack)
    update(scene, left)
    scene.repaired = time.time()


def port_taken(scene: Scene) -> None:
    """An update to a host port that another program uses."""
    key = ("config", "set", "--path", f"llm-stack:hostPorts.{CHAT}")
    before = scene.stack.container(CHAT).id
    with socket.create_server(("127.0.0.1", 0)) as server:
        scene.stack.pulumi(*key, str(server.getsockname()[1]))
        scene.begin(CHAT)
        refused = scene.stack.pulumi("up", "--yes", "--skip-preview", check=False)
        scene.detected = time.time()
    if not refused.returncode or scene.stack.container(CHAT).id != before:
        raise RuntimeError(f"the update was not refused: {refused.stdout}")
    scene.notes.append("`pulumi up` refuses it: another program on this machine uses this port")
    scene.stack.pulumi(*key, str(CHAT_PORT))
    scene.stack.up()
    scene.repaired, scene.repaired_by = time.time(), BY_HAND


FAULTS: dict[str, Callable[[Scene], None]] = {
    "model server hung (SIGSTOP)": hang,
    "model server killed (SIGKILL)": killed,
    "model server out of memory": out_of_memory,
    "network cut": network_cut,
    "disk of the usage store full": disk_full,
    "monitor killed": monitor_killed,
    "restarter killed": part_killed(RESTARTER),
    "restarter cannot start threads, model server hung": restarter_without_threads,
    "tunnel connector killed": part_killed(TUNNEL),
    "clock 2 h forward, model server hung": clock("+7200"),
    "clock back to now, model server hung": clock("+0"),
    "clock 2 h back, model server hung": clock("-7200"),
    "engine stopped (SIGTERM) and started": engine_ended(signal.SIGTERM),
    "engine killed (SIGKILL) and started": engine_ended(signal.SIGKILL),
    "container removed by hand": container_removed,
    "secret volume removed": secret_volume_removed,
    "port taken": port_taken,
    "`pulumi up` killed": orphan,
}
