"""Updates on the real engine, as clients on the stack's network see them: no request is lost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from .conftest import StackUnderTest

CLIENT = Path(__file__).with_name("update_client.py")
# The container that an update replaces is told to stop with this signal.
SIGTERM = "15"


@dataclass
class Seen:
    """What the clients saw of one update, and when the old container was told to stop and ended."""

    requests: dict[str, Any] = field(default_factory=dict)
    streams: list[dict[str, Any]] = field(default_factory=list)
    told_to_stop: float = 0.0
    ended: float = 0.0
    exit_code: str = ""
    seconds: float = 0.0

    def report(self, title: str) -> None:
        across = [s for s in self.streams if s["began"] < self.told_to_stop < s["ended"]]
        print(f"\n{title}: the update took {self.seconds:.1f} s")
        if self.told_to_stop:
            drained = self.ended - self.told_to_stop
            print(f"  the old container drained {drained:.1f} s and ended with {self.exit_code}")
        for name, tally in self.requests.items():
            print(f"  {name}: {tally}")
        print(f"  streams: {len(self.streams)}, running when it was told to stop: {across}")

    def check(self) -> None:
        for name, tally in self.requests.items():
            assert tally["sent"] > 50, name
            assert tally["failed"] == 0, (name, tally)
        assert all(stream["complete"] for stream in self.streams), self.streams
        assert any(
            stream["began"] < self.told_to_stop and stream["ended"] > self.told_to_stop + 0.5
            for stream in self.streams
        ), "no stream was running on the old container when it was told to stop"
        assert self.exit_code == "0", "the engine had to kill it, or answers were cut"


@pytest.fixture(scope="module")
def updated(stack: StackUnderTest) -> StackUnderTest:
    """A chat and a model without host ports; answers of any length, at a moderate speed."""
    catalogue = stack.project / "services.yaml"
    text = catalogue.read_text(encoding="utf-8")
    for old, new in (
        (
            "    context: 2048\n    slots: 2\n    threads: 1",
            "    context: 65536\n    slots: 4\n    threads: 1",
        ),
        ("    memory: 7GiB", "    memory: 3GiB"),
        ("two conversations of 4096 tokens\n    cpus: 2", "it\n    cpus: 0.5"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    catalogue.write_text(text, encoding="utf-8")
    stack.configure(
        services=["chat-interface", "phi-inference"],
        standInModel="tiny",
        monitor={"interval": 1},
    )
    stack.up()
    return stack


@contextmanager
def clients(stack: StackUnderTest, service: str) -> Iterator[Seen]:
    """Clients that ask all the time; afterwards what they saw, with what became of `service`."""
    network = stack.outputs()["network"]
    containers = stack.containers()
    old, seen = containers[service], Seen()
    client: Container = stack.engine.containers.run(
        containers["chat-interface"].attrs["Image"],
        entrypoint=["python3", "/update_client.py"],
        command=["chat-interface", "8080"],
        volumes={str(CLIENT): {"bind": "/update_client.py", "mode": "ro"}},
        network=network,
        labels={"llm-stack.stack": stack.name},
        detach=True,
    )
    try:
        wait_for_the_first_stream(stack)
        began = time.time()
        yield seen
        seen.seconds = time.time() - began
        for event in stack.engine.events(
            since=int(began), until=int(time.time()) + 1, filters={"container": old.id}, decode=True
        ):
            at, facts = event["timeNano"] / 1e9, event["Actor"]["Attributes"]
            if event["Action"] == "kill" and facts["signal"] == SIGTERM:
                seen.told_to_stop = at
            if event["Action"] == "die":
                seen.ended, seen.exit_code = at, facts["exitCode"]
        client.stop(timeout=60)
        told = json.loads(client.logs().decode().splitlines()[-1])
        seen.requests, seen.streams = told["requests"], told["streams"]
    finally:
        with suppress(docker.errors.NotFound):
            client.remove(force=True)


def wait_for_the_first_stream(stack: StackUnderTest) -> None:
    """Until the chat's own metrics count an answer, so that everything is under way."""
    chat = stack.containers()["chat-interface"]
    ask = "import urllib.request as r; print(r.urlopen('http://localhost:8080/status').read())"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said = chat.exec_run(["python3", "-c", ask]).output.decode()
        if re.search(r'"busy": ?[2-9]', said):
            return
    pytest.fail("the clients' streams did not start")


def touch(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n# touched\n", encoding="utf-8")


def alerts(stack: StackUnderTest) -> list[dict[str, Any]]:
    """What the monitor would have told people, and the restarts that it asked for."""
    lines = stack.containers()["monitor"].logs().decode().splitlines()
    events = [json.loads(line) for line in lines]
    return [e for e in events if e.get("alert") or e["event"].startswith("restart_")]


def test_a_new_chat_takes_over_without_a_lost_request(updated: StackUnderTest) -> None:
    with clients(updated, "chat-interface") as seen:
        touch(updated.project / "app/chat/__init__.py")
        updated.up()
    seen.report("chat")
    seen.check()


def test_a_new_model_server_takes_over_without_a_lost_request(updated: StackUnderTest) -> None:
    with clients(updated, "phi-inference") as seen:
        touch(updated.project / "app/inference/__init__.py")
        updated.up()
    seen.report("inference")
    seen.check()


def test_the_monitor_raised_no_alarm(updated: StackUnderTest) -> None:
    assert alerts(updated) == []


def test_a_chat_that_cannot_start_fails_the_update_and_the_old_one_serves_on(
    updated: StackUnderTest,
) -> None:
    before = updated.containers()["chat-interface"].id
    program = updated.project / "app/chat/__main__.py"
    good = program.read_text(encoding="utf-8")
    with clients(updated, "chat-interface") as seen:
        program.write_text(f'raise SystemExit("broken on purpose")\n{good}', encoding="utf-8")
        failed = updated.up(check=False)
        program.write_text(good, encoding="utf-8")
    seen.report("a broken chat")
    assert failed.returncode != 0
    assert re.search(r"chat-interface-\w+: its program ended", failed.stdout), failed.stdout
    assert "broken on purpose" in failed.stdout, "the container's own words"
    assert seen.seconds < 60, "it fails at once, not after the time that a start may take"
    assert {name: tally["failed"] for name, tally in seen.requests.items()} == dict.fromkeys(
        seen.requests, 0
    )
    assert all(stream["complete"] for stream in seen.streams)
    running = updated.engine.containers.list(
        filters={"label": [f"llm-stack.stack={updated.name}", "llm-stack.service=chat-interface"]}
    )
    assert [container.id for container in running] == [before]


def test_a_machine_that_cannot_hold_a_model_twice_is_told_of_and_recreate_helps(
    updated: StackUnderTest,
) -> None:
    catalogue = updated.project / "services.yaml"
    good = catalogue.read_text(encoding="utf-8")
    half = int(updated.engine.info()["MemTotal"] / 1024**2 * 0.6)
    catalogue.write_text(good.replace("memory: 3GiB", f"memory: {half}MiB"), encoding="utf-8")
    told = updated.pulumi("preview").stdout
    command = re.search(r"pulumi (config set --path '(\S+)' recreate)", told)
    assert command, told
    assert "phi-inference: an update runs its old and its new container side by side" in told
    updated.pulumi(*command[1].replace("'", "").split())
    assert "side by side" not in updated.pulumi("preview").stdout
    catalogue.write_text(good, encoding="utf-8")
