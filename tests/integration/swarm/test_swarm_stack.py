"""The life of a stack on a Swarm of three nodes, with a client that sends a request every 50 ms."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.registry_server import RegistryServer
from tests.integration.conftest import PROJECT_ROOT, rollback
from tests.integration.swarm.conftest import (
    CONNECTOR,
    IMAGES,
    SERVED,
    TEAM,
    TIMEOUT_SECONDS,
    TOKEN,
    Client,
    Images,
    SwarmStack,
    start_client,
)
from tests.integration.swarm.lists import ask, containers_of, started, watched
from tests.integration.swarm.rig import Node, Swarm, wait_for

REPLICATED = ("chat-interface", "mini-inference", "chat-interface-tunnel")
SERVICES = {*REPLICATED, "monitor", "slow-inference", "chat-interface-lists", "monitor-lists"}
# The limit that docs/swarm.md states, for a client with 20 requests per second.
MAX_LOST_REQUESTS = 20
RECOVERY_SECONDS = 10
VISIBLE_WITHIN = 5.0
COMPLETIONS = "http://127.0.0.1:8080/v1/chat/completions"
ADDED_REQUEST = (
    b'{"model": "added", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}'
)
# The tiny model with a tenth of a CPU, for long streams.
SLOW_MODEL = """
  slow:
    description: As tiny
    bundled: tiny
    context: 2048
    slots: 2
    threads: 1
  added:
    description: As tiny
    bundled: tiny
    context: 512
    slots: 1
    threads: 1
"""
MODEL_SERVICES = """
  mini-inference: {kind: inference, description: Small, model: tiny, memory: 512MiB, cpus: 1}
  slow-inference: {kind: inference, description: Slow, model: slow, memory: 512MiB, cpus: 0.1}
  added-inference: {kind: inference, description: Added, model: added, memory: 512MiB, cpus: 0.5}
"""


@pytest.fixture(scope="module")
def first(images: Images) -> dict[str, str]:
    """The digests of the first version."""
    return {name: images.build_own(name) for name in IMAGES}


@pytest.fixture(scope="module")
def stack(
    swarm: Swarm,
    registry: RegistryServer,
    images: Images,
    first: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SwarmStack]:
    connector = images.build(CONNECTOR, str(PROJECT_ROOT / "tests/doubles/cloudflared"))
    stack = SwarmStack(tmp_path_factory.mktemp("stack"), swarm.manager.client(), swarm=swarm)
    catalogue = stack.project / "services.yaml"
    models, services = catalogue.read_text(encoding="utf-8").split("\nservices:\n")
    catalogue.write_text(f"{models}{SLOW_MODEL}\nservices:\n{services}{MODEL_SERVICES}")
    stack.begin(
        registry,
        first,
        tunnel={
            "mode": "named",
            "access": "access",
            "replicas": 2,
            "image": f"{registry.address}/{TEAM}/{CONNECTOR}@{connector}",
        },
    )
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def client(stack: SwarmStack, swarm: Swarm) -> Client:
    image = stack.services()["chat-interface"].attrs["Spec"]["TaskTemplate"]["ContainerSpec"]
    return start_client(swarm, stack.outputs()["network"], image["Image"], stack.name)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Prints measurements (with -s) and adds them to the test report."""

    def record(text: str) -> None:
        record_property("figures", text)
        print(f"\n  {text}")

    return record


def failed_of(answers: list[dict[str, Any]], kind: str) -> int:
    return len([answer for answer in failed(answers) if answer["kind"] == kind])


def failed(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [answer for answer in answers if answer["problem"]]


def counted(answers: list[dict[str, Any]]) -> str:
    """The number of answers of each kind, and the slowest request."""
    kinds = {kind: [a for a in answers if a["kind"] == kind] for kind in ("request", "stream")}
    slowest = max((a["seconds"] for a in kinds["request"]), default=0)
    return (
        f"{len(kinds['request'])} requests, {failed_of(answers, 'request')} failed; "
        f"{len(kinds['stream'])} streams, {failed_of(answers, 'stream')} failed; "
        f"slowest request {slowest:.1f} s"
    )


def containers(swarm: Swarm, stack: SwarmStack) -> Iterator[Any]:
    """All containers of the stack, on all nodes."""
    for node in swarm.nodes:
        yield from node.client().containers.list(filters={"label": f"llm-stack.stack={stack.name}"})


def test_replicas_run_on_different_nodes(stack: SwarmStack, swarm: Swarm) -> None:
    assert stack.services().keys() == SERVICES
    for name in REPLICATED:
        assert len(set(stack.running_on(name))) == 2, name
    assert stack.running_on("monitor") == [swarm.manager.name]


def test_every_container_is_hardened_and_found_by_its_labels(
    stack: SwarmStack, swarm: Swarm
) -> None:
    found = list(containers(swarm, stack))
    assert {container.labels["llm-stack.service"] for container in found} == SERVICES
    assert len(found) == 10
    for container in found:
        config, host = container.attrs["Config"], container.attrs["HostConfig"]
        name = container.name
        assert config["User"].partition(":")[0] in {"10001", "65532"}, name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert host["Init"], name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, name
        assert [limit["Name"] for limit in host["Ulimits"]] == ["nproc"], (
            "the ulimit of docs/swarm.md"
        )
        status = container.exec_run(["cat", "/proc/self/status"]).output.decode()
        assert re.search(r"NoNewPrivs:\s1\n", status), "an engine setting of docs/swarm.md"
        assert re.search(r"CapBnd:\s0+\n", status), name


def test_the_token_is_only_in_a_swarm_secret(stack: SwarmStack, swarm: Swarm) -> None:
    shown = [service.attrs for service in stack.services().values()]
    shown += [container.attrs for container in containers(swarm, stack)]
    assert TOKEN not in str(shown)
    assert TOKEN not in stack.pulumi("stack", "export").stdout


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("docker service ls --filter label=llm-stack.stack=$STACK", "chat-interface"),
        (
            "docker service ps $(docker service ls -qf label=llm-stack.service=mini-inference)",
            "mini-inference",
        ),
        (
            "docker service logs --tail 50 "
            "$(docker service ls -qf label=llm-stack.service=mini-inference)",
            "llama",
        ),
        ("docker logs $(docker ps -qf label=llm-stack.service=monitor)", "started"),
        ("docker node ls", "Ready"),
    ],
)
def test_documented_commands_show_the_running_service(
    stack: SwarmStack, swarm: Swarm, command: str, output: str
) -> None:
    """Commands of docs/swarm.md, with another service's name."""
    shell = {**os.environ, "DOCKER_HOST": swarm.manager.socket, "STACK": stack.name}
    result = subprocess.run(["sh", "-c", command], env=shell, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert output in result.stdout + result.stderr


def test_an_unchanged_stack_has_no_planned_changes(stack: SwarmStack) -> None:
    stack.pulumi("preview", "--expect-no-changes")
    stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    stack.pulumi("preview", "--expect-no-changes")


def test_an_update_of_the_chat_fails_no_request_and_cuts_no_stream(
    stack: SwarmStack,
    client: Client,
    images: Images,
    tmp_path: Path,
    figures: Callable[[str], None],
) -> None:
    before = {task["ID"] for task in stack.running("chat-interface")}
    digest = images.build_on("chat", "chat", tmp_path, "ENV VERSION=2")
    stack.change(images={"chat": digest})
    with client.watched() as answers:
        began = time.monotonic()
        stack.up()
        took = time.monotonic() - began
    after = stack.running("chat-interface")
    assert len(after) == 2
    assert not before & {task["ID"] for task in after}
    assert {image_of(task) for task in after} == {digest}
    figures(f"update of the chat in {took:.0f} s: {counted(answers)}")
    assert failed(answers) == []


def test_one_command_restores_the_previous_version(
    stack: SwarmStack, client: Client, first: dict[str, str], figures: Callable[[str], None]
) -> None:
    [newer] = {image_of(task) for task in stack.running("chat-interface")}
    with client.watched() as answers:
        began = time.monotonic()
        rollback(stack, "chat")
        took = time.monotonic() - began
    [older] = {image_of(task) for task in stack.running("chat-interface")}
    assert older == first["chat"] != newer
    figures(f"rollback of the chat in {took:.0f} s: {counted(answers)}")
    assert failed(answers) == []


def image_of(task: dict[str, Any]) -> str:
    """The image digest of a task."""
    return str(task["Spec"]["ContainerSpec"]["Image"]).partition("@")[2]


def test_a_broken_version_is_rolled_back_and_the_update_reports_why(
    stack: SwarmStack,
    client: Client,
    images: Images,
    tmp_path: Path,
    figures: Callable[[str], None],
) -> None:
    before = {task["ID"] for task in stack.running("chat-interface")}
    broken = images.build_on(
        "chat",
        "chat",
        tmp_path,
        'ENTRYPOINT ["python3", "-c", "import sys; sys.exit(\'no such moon\')"]',
    )
    good = stack.change(images={"chat": broken})
    with client.watched() as answers:
        began = time.monotonic()
        refused = stack.up(check=False)
        took = time.monotonic() - began
    assert refused.returncode != 0
    assert re.search(r"chat-interface-\w+: its new version failed", refused.stdout), refused.stdout
    assert "no such moon" in refused.stdout, "the task's error message"
    again = stack.up(check=False)
    assert again.returncode != 0, "a failed update must fail again"
    assert {task["ID"] for task in stack.running("chat-interface")} == before, (
        "the old version keeps serving"
    )
    figures(f"broken version refused in {took:.0f} s: {counted(answers)}")
    assert failed(answers) == []
    stack.change(images=good)
    stack.up()
    stack.pulumi("preview", "--expect-no-changes")


def test_a_model_is_added_and_removed_under_load(
    stack: SwarmStack, swarm: Swarm, client: Client, figures: Callable[[str], None]
) -> None:
    before = started(swarm, stack)
    assert len(before) == 3, "two gateways and the monitor"
    shown: list[float] = []
    with client.watched() as answers:
        for added in (True, False):
            stack.set(services=[*SERVED, *(["added-inference"] if added else [])])
            with watched(swarm, stack, '"added', shown=added) as seen:
                stack.up()
                written = time.time()
            assert len(seen) == len(before)
            shown += [at - written for at in seen.values()]
            if added:
                gateway, _ = containers_of(swarm, stack, "chat-interface")
                completion = ask(gateway, COMPLETIONS, ADDED_REQUEST)
    figures(
        f"a model added and removed: {counted(answers)}; "
        f"shown at most {max(shown):.1f} s after the update"
    )
    assert failed(answers) == []
    assert started(swarm, stack) == before
    assert max(shown) < VISIBLE_WITHIN
    assert '"choices"' in completion


def test_a_node_failure_affects_only_the_requests_on_that_node(
    stack: SwarmStack, swarm: Swarm, client: Client, figures: Callable[[str], None]
) -> None:
    dying = victim(stack, swarm)
    with client.watched() as answers:
        died = time.time()
        dying.die()
        recovered = wait_for(
            lambda: all_elsewhere(stack, dying), TIMEOUT_SECONDS, "tasks elsewhere"
        )
    figures(
        f"a node dies: {counted(answers)}; "
        f"all replicas on the other nodes after {recovered - died:.0f} s"
    )
    lost = failed(answers)
    # Requests that it was answering and those on connections to it: less than one second's.
    assert len(lost) <= MAX_LOST_REQUESTS, lost
    assert all(answer["asked"] < died + RECOVERY_SECONDS for answer in lost), lost


def victim(stack: SwarmStack, swarm: Swarm) -> Node:
    """The busiest worker that does not run the single replica of slow-inference."""
    busy = stack.running_on("chat-interface") + stack.running_on("mini-inference")
    alone = stack.running_on("slow-inference")
    candidates = [node for node in swarm.workers if node.name not in alone]
    return max(candidates, key=lambda node: busy.count(node.name))


def all_elsewhere(stack: SwarmStack, dead: Node) -> float | None:
    """The time when every replica runs on another node; None before."""
    nodes = [stack.running_on(name) for name in REPLICATED]
    whole = all(len(found) == 2 and dead.name not in found for found in nodes)
    return time.time() if whole else None


def test_destroy_leaves_only_volumes(stack: SwarmStack, client: Client) -> None:
    client.stop()
    destroyed = stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
    if destroyed.returncode:
        # A server that still answers a dead node uses its whole stop timeout, and the provider waits
        # no longer than that: see docs/troubleshooting.md.
        assert "deadline exceeded" in destroyed.stdout, destroyed.stdout
        stack.pulumi("refresh", "--yes", "--skip-preview")
        stack.pulumi("destroy", "--yes", "--skip-preview")
    engine = stack.engine
    label: dict[str, Any] = {"label": f"llm-stack.stack={stack.name}"}
    assert engine.services.list(filters=label) == []
    assert engine.networks.list(filters=label) == []
    assert engine.secrets.list(filters=label) == []
    assert engine.configs.list(filters=label) == []
    wait_for(
        lambda: not engine.containers.list(all=True, filters=label),
        TIMEOUT_SECONDS,
        "the last container",
    )
    assert {volume.name for volume in engine.volumes.list(filters=label)} <= {
        f"{stack.name}-mini-inference-models",
        f"{stack.name}-slow-inference-models",
        f"{stack.name}-added-inference-models",
        f"{stack.name}-monitor-history",
        f"{stack.name}-chat-interface-usage",
    }
