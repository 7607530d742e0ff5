"""The steps of docs/adding-a-service.md, applied to a copy of the project."""

from __future__ import annotations

import time

import httpx
import pytest
import yaml

from tests.integration.conftest import PROJECT_ROOT, StackUnderTest, free_port
from tests.integration.documentation import blocks, commands, files

PAGE = PROJECT_ROOT / "docs" / "adding-a-service.md"
ADDED = {"smollm-inference": "inference", "clock": "http", "redis": "tcp"}
# The monitor checks every second in this stack.
SEEN_SECONDS = 60


@pytest.fixture(scope="module")
def extended(stack: StackUnderTest) -> StackUnderTest:
    """The stack after all steps of the page, in one update instead of three."""
    stack.configure(
        services=["chat-interface", "phi-inference"],
        hostPorts={"chat-interface": free_port(), "monitor": free_port()},
        monitor={"interval": 1},
        placeholderModel="tiny",
    )
    for path, content in files(PAGE).items():
        target = stack.project / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(content, encoding="utf-8")
    catalogue = stack.project / "services.yaml"
    for block in blocks(PAGE, "yaml"):
        catalogue.write_text(with_entries(catalogue.read_text(encoding="utf-8"), block), "utf-8")
    for command in commands(PAGE):
        if command == "pulumi up":
            continue
        arguments = command.replace("'", "").split()
        assert arguments[:4] == ["pulumi", "config", "set", "--path"], command
        stack.pulumi(*arguments[1:])
    stack.up()
    return stack


def with_entries(catalogue: str, block: str) -> str:
    """The catalogue with the entries of a block added to its sections."""
    section, entries = "", dict[str, str]()
    for line in block.splitlines():
        if line and not line.startswith(" "):
            section = line
        else:
            entries[section] = entries.get(section, "") + line + "\n"
    for heading, lines in entries.items():
        assert f"\n{heading}\n" in catalogue
        catalogue = catalogue.replace(f"\n{heading}\n", f"\n{heading}\n{lines}", 1)
    return catalogue


def test_the_page_adds_the_services_of_this_test() -> None:
    named = [yaml.safe_load(block)["services"] for block in blocks(PAGE, "yaml")]
    assert {name for services in named for name in services} == set(ADDED)
    assert set(files(PAGE)) == {
        "app/clock/__main__.py",
        "docker/clock.Dockerfile",
        "docker/redis.Dockerfile",
    }


def test_every_container_is_healthy_and_hardened(extended: StackUnderTest) -> None:
    containers = extended.wait_until_healthy()
    assert set(ADDED) <= set(containers)
    for name in ADDED:
        attrs = containers[name].attrs
        assert attrs["HostConfig"]["ReadonlyRootfs"], name
        assert attrs["Config"]["User"] == "10001:10001", name
    extended.pulumi("preview", "--expect-no-changes")


def test_the_gateway_answers_with_the_new_model(extended: StackUnderTest) -> None:
    url = extended.outputs()["urls"]["chat-interface"]
    question = {
        "model": "smollm2-1.7b",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 4,
    }
    answer = httpx.post(f"{url}/v1/chat/completions", json=question, timeout=60)
    assert answer.status_code == 200, answer.text


def test_sidecars_are_reachable_by_name(extended: StackUnderTest) -> None:
    script = (
        "import socket, urllib.request as r; print(r.urlopen('http://clock:8000').read()); "
        "s = socket.create_connection(('redis', 6379)); s.sendall(b'PING\\r\\n'); print(s.recv(9))"
    )
    result = extended.containers()["chat-interface"].exec_run(["python3", "-c", script])
    assert b"+PONG" in result.output, result.output


def test_the_monitor_checks_the_new_services(extended: StackUnderTest) -> None:
    url = extended.outputs()["monitorUrl"]
    deadline = time.monotonic() + SEEN_SECONDS
    while True:
        services = httpx.get(f"{url}/api/v1/status").json()["services"]
        found = {one["name"]: one for one in services if one["name"] in ADDED}
        if all(one["state"] == "ok" for one in found.values()) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert {name: (one["kind"], one["state"]) for name, one in found.items()} == {
        name: (kind, "ok") for name, kind in ADDED.items()
    }
