"""The steps of docs/adding-a-service.md, applied to a copy of the project."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
import yaml

from components.kinds.catalogue import load_catalogue
from tests.doubles.registry_server import RegistryServer
from tests.integration.conftest import PROJECT_ROOT, StackUnderTest
from tests.integration.containers.conftest import from_registry
from tests.integration.documentation import blocks, files
from tests.ports import free_port

PAGE = PROJECT_ROOT / "docs" / "adding-a-service.md"
ADDED = {"smollm-inference": "inference", "clock": "http", "notes-db": "tcp"}
USERS = {"smollm-inference": "10001:10001", "clock": "10001:10001", "notes-db": "999:999"}
JOB = "notes-tables"
# Servers that the tests do not have: their entries are only read.
ELSEWHERE = {"sglang", "workstation"}
# The monitor checks every second in this stack.
SEEN_SECONDS = 60


@pytest.fixture(scope="module")
def extended(stack: StackUnderTest, published: RegistryServer) -> StackUnderTest:
    """The stack after all steps of the page, in one update instead of three."""
    stack.configure(
        services=["chat-interface", "phi-inference", *ADDED, JOB],
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
        if ELSEWHERE.isdisjoint(yaml.safe_load(block)["services"]):
            entries = from_registry(block, published.address)
            text = with_entries(catalogue.read_text(encoding="utf-8"), entries)
            catalogue.write_text(text, "utf-8")
    assert not blocks(PAGE, "sh"), "commands that this test does not run"
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
        if f"\n{heading}\n" not in catalogue:
            catalogue += f"\n{heading}\n"
        catalogue = catalogue.replace(f"\n{heading}\n", f"\n{heading}\n{lines}", 1)
    return catalogue


def test_the_page_adds_the_services_of_this_test() -> None:
    named = [yaml.safe_load(block)["services"] for block in blocks(PAGE, "yaml")]
    assert {name for services in named for name in services} == {*ADDED, JOB, *ELSEWHERE}
    assert set(files(PAGE)) == {
        "app/clock/__main__.py",
        "catalog/notes.sql",
        "docker/clock.Dockerfile",
    }


def test_the_entries_for_servers_elsewhere_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "services.yaml"
    for block in blocks(PAGE, "yaml"):
        path.write_text(block, encoding="utf-8")
        catalogue = load_catalogue(path)
        of_files = [one for one in catalogue.problems if one.key.endswith((".volumes", ".build"))]
        # The models, files and Dockerfiles of the page are those of its other blocks.
        assert [one for one in catalogue.problems if one not in of_files] == [], block


def test_every_container_is_healthy_and_hardened(extended: StackUnderTest) -> None:
    containers = extended.wait_until_healthy()
    assert set(ADDED) <= set(containers)
    for name in ADDED:
        attrs = containers[name].attrs
        assert attrs["HostConfig"]["ReadonlyRootfs"], name
        assert attrs["Config"]["User"] == USERS[name], name
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
        "socket.create_connection(('notes-db', 5432)).close(); print('reached')"
    )
    result = extended.containers()["chat-interface"].exec_run(["python3", "-c", script])
    assert b"reached" in result.output, result.output


def test_the_job_has_made_the_tables_and_ended(extended: StackUnderTest) -> None:
    containers = extended.containers()
    assert containers[JOB].attrs["State"]["ExitCode"] == 0
    command = ["psql", "-U", "notes", "-Atc", "SELECT count(*) FROM notes"]
    result = containers["notes-db"].exec_run(command)
    assert result.output == b"0\n", result.output


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
