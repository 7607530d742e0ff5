"""What killed updates leave, and what someone stops or removes by hand: `pulumi up` repairs it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from docker.models.containers import Container

from components.runtime.labels import temporary_labels
from tests.integration.conftest import StackUnderTest
from tests.ports import free_port

CHAT = "chat-interface"
PHI = "phi-inference"
RESTARTER = "llm-stack.service=restarter"
# Starts threads until the kernel refuses one, and ends with its input.
THREADS = """
import sys, threading
end, count = threading.Event(), 0
try:
    while count < 5000:
        threading.Thread(target=end.wait, daemon=True).start()
        count += 1
except RuntimeError:
    pass
print(count, flush=True)
sys.stdin.read()
"""
ENDS_WARNING = ("refresh", "--yes", "--clear-pending-creates")


def interrupted(stack: StackUnderTest) -> str:
    """Kill an update of the monitor while its new container starts; return that one's name.

    Pulumi may have the result already on a machine that is busy: then once more.
    """
    for interval in (7, 8, 9, 11, 12):
        stack.pulumi("config", "set", "--path", "llm-stack:monitor.interval", str(interval))
        name = killed_at_creation_of_the_monitor(stack)
        state = json.loads(stack.pulumi("stack", "export").stdout)["deployment"]
        pending = state.get("pending_operations") or []
        if name and name in [one["resource"]["inputs"].get("name") for one in pending]:
            return name
    pytest.fail("each creation was finished before the update was killed")


def killed_at_creation_of_the_monitor(stack: StackUnderTest) -> str | None:
    """The name of the new container; None if the update ended before there was one."""
    before = monitors(stack).keys()
    update = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=stack.project,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_at_most(lambda: bool(monitors(stack).keys() - before) or update.poll() is not None)
        if update.poll() is None:
            # Pulumi alone: its provider goes on, and starts the container.
            os.kill(update.pid, signal.SIGSTOP)
        created = {name: state for name, state in monitors(stack).items() if name not in before}
        if created:
            # Not for long: the provider may wait for Pulumi first.
            wait_at_most(lambda: monitors(stack).get(next(iter(created))) != "created", 20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(update.pid, signal.SIGKILL)
        update.wait()
        stack.pulumi("cancel", "--yes")
    return next(iter(created), None)


def carrier_of_a_killed_update(stack: StackUnderTest) -> str:
    """The name of a container through which an update wrote into a volume when it was killed."""
    labels = temporary_labels(stack.name, f"{stack.name}-{PHI}-models")
    image = stack.containers()[PHI].attrs["Image"]
    return str(stack.engine.containers.create(image, ["never-started"], labels=labels).name)


def monitors(stack: StackUnderTest) -> dict[str, str]:
    """The state of each container of the monitor, by its name."""
    labels = [f"llm-stack.stack={stack.name}", "llm-stack.service=monitor"]
    found = stack.engine.api.containers(all=True, filters={"label": labels})
    return {one["Names"][0].removeprefix("/"): one["State"] for one in found}


def wait_at_most(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; the caller looks again at what there is."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def services(stack: StackUnderTest) -> list[str]:
    """Of each container of the stack that runs a service."""
    found = stack.engine.containers.list(
        all=True, filters={"label": [f"llm-stack.stack={stack.name}", "llm-stack.service"]}
    )
    return sorted(one.labels["llm-stack.service"] for one in found)


def test_the_next_update_removes_what_a_killed_one_left(stack: StackUnderTest) -> None:
    stack.configure(
        services=[CHAT, PHI],
        placeholderModel="tiny",
        hostPorts={"monitor": free_port()},
        monitor={"interval": 5},
    )
    # An image that no other stack of this engine has.
    program = stack.project / "app" / "restarter" / "__init__.py"
    program.write_text(f"{program.read_text(encoding='utf-8')}# {stack.name}\n", encoding="utf-8")
    stack.up()
    orphan = interrupted(stack)
    carrier = carrier_of_a_killed_update(stack)
    preview = stack.pulumi("preview").stdout.replace("\n", " ")
    assert f"container {orphan}" in preview
    assert f"container {carrier}" in preview
    stack.up()
    assert carrier not in [one.name for one in stack.engine.containers.list(all=True)]
    assert services(stack) == sorted([CHAT, "monitor", PHI, "restarter"])
    stack.pulumi(*ENDS_WARNING)
    settled = stack.pulumi("preview", "--refresh", "--expect-no-changes")
    assert "pending operations" not in settled.stdout


def test_what_was_stopped_or_removed_is_created_again(stack: StackUnderTest) -> None:
    before = stack.containers()
    before[CHAT].remove(force=True)
    before["monitor"].stop(timeout=1)
    before[PHI].pause()
    restarter = before["restarter"]
    for network in restarter.attrs["NetworkSettings"]["Networks"].values():
        stack.engine.networks.get(network["NetworkID"]).disconnect(restarter, force=True)
    preview = stack.pulumi("preview").stdout
    assert f"container {before[CHAT].name} was removed outside of Pulumi" in preview
    assert f"container {before['monitor'].name} was stopped outside of Pulumi" in preview
    assert f"container {restarter.name} was disconnected from a network" in preview
    assert f"container {before[PHI].name} was paused outside of Pulumi" in preview
    stack.up()
    after = stack.containers()
    assert {name for name in after if after[name].id != before[name].id} == set(after)
    assert {one.status for one in after.values()} == {"running"}
    assert stack.planned_changes() == {}


def test_what_a_prune_removes_is_created_again(stack: StackUnderTest) -> None:
    """What `docker system prune --all --volumes` removes while one service is stopped."""
    label = f"llm-stack.stack={stack.name}"
    services = stack.containers()
    image = services["restarter"].attrs["Image"]
    services.pop("restarter").remove(force=True)
    for one in stack.engine.containers.list(all=True, filters={"label": label}):
        if "llm-stack.service" not in one.labels:
            one.remove(force=True)
    for volume in stack.engine.volumes.list(filters={"label": [label, RESTARTER]}):
        volume.remove()
    stack.engine.images.remove(image, force=True)
    preview = stack.pulumi("preview").stdout
    assert re.search(rf"image llm-stack-{stack.name}/restarter:\S+ was removed outside", preview)
    assert re.search(r"carriers \S+-carrier-\S+, .* were removed outside of Pulumi", preview)
    stack.up()
    after = stack.containers()
    assert {name: one.id for name, one in after.items() if name in services} == {
        name: one.id for name, one in services.items()
    }, "no other service is replaced"
    assert after["restarter"].status == "running"
    stack.pulumi("preview", "--refresh", "--expect-no-changes")


def test_processes_of_one_service_do_not_keep_others_from_theirs(stack: StackUnderTest) -> None:
    services = stack.containers()
    with threads_in(services[CHAT]) as greedy, threads_in(services["monitor"]) as other:
        assert 900 < started(greedy) < 1024
        assert 900 < started(other) < 1024, "as many as if it were alone"


@contextlib.contextmanager
def threads_in(container: Container) -> Iterator[subprocess.Popen[str]]:
    """Start threads in a container until the kernel refuses one."""
    command = ["docker", "exec", "--interactive", str(container.id), "python3", "-c", THREADS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        yield running
        running.communicate("")


def started(running: subprocess.Popen[str]) -> int:
    """How many threads could start."""
    assert running.stdout
    return int(running.stdout.readline())


def test_a_stack_without_anything_on_the_engine_is_created_again(stack: StackUnderTest) -> None:
    label = {"label": f"llm-stack.stack={stack.name}"}
    for container in stack.containers(running=False).values():
        container.remove(force=True)
    for network in stack.engine.networks.list(filters=label):
        network.remove()
    for volume in stack.engine.volumes.list(filters=label):
        volume.remove()
    stack.up()
    assert services(stack) == sorted([CHAT, "monitor", PHI, "restarter"])
    stack.pulumi("preview", "--refresh", "--expect-no-changes")


def test_a_renamed_stack_is_refused_and_gets_its_name_back(stack: StackUnderTest) -> None:
    renamed = f"{stack.name}-new"
    stack.pulumi("stack", "rename", renamed)
    stack.environment["PULUMI_STACK"] = renamed
    refused = stack.pulumi("preview", check=False)
    assert refused.returncode != 0
    assert f"was renamed from {stack.name}" in refused.stdout
    stack.pulumi("stack", "rename", stack.name)
    stack.environment["PULUMI_STACK"] = stack.name
    stack.pulumi("preview", "--expect-no-changes")


def test_a_port_in_use_leaves_the_old_container_running(stack: StackUnderTest) -> None:
    before = stack.containers()["monitor"].id
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stack.pulumi("config", "set", "--path", "llm-stack:hostPorts.monitor", str(port))
        refused = stack.pulumi("up", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "another program on this machine uses this port" in refused.stdout
    assert stack.containers()["monitor"].id == before


def test_destroy_with_the_program_removes_it_too(stack: StackUnderTest) -> None:
    interrupted(stack)
    stack.pulumi("destroy", "--yes", "--skip-preview", "--run-program")
    assert services(stack) == []
    label = {"label": f"llm-stack.stack={stack.name}"}
    assert stack.engine.networks.list(filters=label) == []
