"""Updates under load on the real engine: no request fails, and every stream is completed."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from tests.integration.conftest import StackUnderTest, rollback
from tests.integration.steady_clients import CHAT, steady_clients

BREAK = ("def main() -> int:\n", 'def main() -> int:\n    raise SystemExit("broken on purpose")\n')
PHI = "phi-inference"


@dataclass
class Update:
    """One update: its times, and the engine's events of the replaced container."""

    name: str
    service: str
    old_ip: str
    began: float
    ended: float = 0.0
    stop_requested: float = 0.0
    gone: float = 0.0
    exit_code: int | None = None


@dataclass
class Run:
    """The clients' results from the first update to the last one."""

    updates: dict[str, Update]
    requests: list[dict[str, Any]]
    streams: list[dict[str, Any]]
    failed_update: str
    """Pulumi's output of the update to the broken version."""
    monitor: list[dict[str, Any]]

    def during(self, update: Update, seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Requests during an update or right after it."""
        ends = update.ended + 1
        return [one for one in seen if one["begun"] < ends and one["ended"] > update.began]

    def drained(self, update: Update) -> list[dict[str, Any]]:
        """Streams of the old container that were open when it received SIGTERM."""
        server = "server" if update.service == CHAT else "replica"
        return [
            stream
            for stream in self.streams
            if stream["begun"] < update.stop_requested < stream["ended"]
            and stream[server] == update.old_ip
        ]

    def report(self, update: Update) -> str:
        """The figures of one update."""
        requests = self.during(update, self.requests)
        kinds = Counter(f"{r['kind']}, {'fresh' if r['fresh'] else 'kept'}" for r in requests)
        failed = [r for r in requests if "failure" in r]
        slowest = max(r["ended"] - r["begun"] for r in requests)
        streams = self.during(update, self.streams)
        return (
            f"{update.name}: {update.ended - update.began:.1f} s; requests {dict(kinds)}, "
            f"{len(failed)} failed, the slowest took {slowest:.1f} s; {len(streams)} streams, "
            f"{sum('failure' in s for s in streams)} failed, {len(self.drained(update))} drained in "
            f"{update.gone - update.stop_requested:.1f} s; exit code {update.exit_code}"
        )


@pytest.fixture(scope="module")
def serving(stack: StackUnderTest) -> StackUnderTest:
    """A stack without host ports, whose model takes seconds for a long answer."""
    stack.configure(
        services=[CHAT, PHI], placeholderModel="tiny", monitor={"interval": 2}, keepVersions=3
    )
    catalogue = stack.project / "services.yaml"
    text = catalogue.read_text(encoding="utf-8")
    for old, new in (
        ("context: 2048\n    slots: 2\n", "context: 2048\n    slots: 8\n"),
        (
            "2393231072\n    context: 4096\n    slots: 2\n",
            "2393231072\n    context: 1024\n    slots: 1\n",
        ),
        ("memory: 7GiB", "memory: 3GiB"),
        ("4096 tokens\n    cpus: 2\n", "4096 tokens\n    cpus: 0.4\n"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    catalogue.write_text(text, encoding="utf-8")
    stack.up()
    return stack


@pytest.fixture(scope="module")
def run(serving: StackUnderTest) -> Run:
    """In sequence: a new chat, a new model server, a changed settings file of the chat, a broken chat,
    and back to the working one."""
    updates = {}
    with steady_clients(serving) as seen:
        for name, service, folder in (("chat", CHAT, "chat"), ("model", PHI, "inference")):
            with update(serving, name, service) as updates[name]:
                touch(serving.project / "app" / folder / "__init__.py")
                serving.up()
        # Read before its container is removed: it shows which replica answered which stream.
        gateway = log_of(running(serving, CHAT))
        with update(serving, "settings", CHAT) as updates["settings"]:
            serving.pulumi("config", "set", "--path", "llm-stack:gateway.limits.queue", "63")
            serving.up()
        program = serving.project / "app/chat/__main__.py"
        good = program.read_text(encoding="utf-8")
        assert BREAK[0] in good
        with update(serving, "broken chat", CHAT) as updates["broken"]:
            program.write_text(good.replace(*BREAK), encoding="utf-8")
            failed = serving.up(check=False)
            program.write_text(good, encoding="utf-8")
        with update(serving, "rollback", CHAT) as updates["rollback"]:
            rollback(serving, "chat")
    assert failed.returncode != 0
    answered = {line["request_id"]: line for line in gateway if "request_id" in line}
    for stream in seen["streams"]:
        stream["replica"] = answered.get(stream.get("request_id"), {}).get("replica")
    updates["model"].old_ip = "phi-3-mini-1"
    run = Run(
        updates,
        seen["requests"],
        seen["streams"],
        failed.stdout,
        log_of(running(serving, "monitor")),
    )
    for one in updates.values():
        print(run.report(one))
    return run


@contextmanager
def update(stack: StackUnderTest, name: str, service: str) -> Iterator[Update]:
    """Record the events of the container that currently runs a service."""
    old = running(stack, service)
    (network,) = old.attrs["NetworkSettings"]["Networks"].values()
    # Read from the start: the engine keeps few events, and each health check is three of them.
    events = stack.engine.events(decode=True, filters={"container": old.id})
    seen: list[dict[str, Any]] = []
    listening = threading.Thread(target=seen.extend, args=(events,))
    listening.start()
    one = Update(name, service, network["IPAddress"], time.time())
    try:
        yield one
    finally:
        one.ended = time.time()
        events.close()
        listening.join()
    for event in seen:
        at = event["timeNano"] / 1e9
        if event["Action"] == "kill" and not one.stop_requested:
            one.stop_requested = at
        elif event["Action"] == "die":
            one.gone, one.exit_code = at, int(event["Actor"]["Attributes"]["exitCode"])


def running(stack: StackUnderTest, service: str) -> Container:
    """The running container of a service."""
    labels = [f"llm-stack.stack={stack.name}", f"llm-stack.service={service}"]
    (container,) = stack.engine.containers.list(filters={"label": labels})
    return container


def touch(source: Path) -> None:
    source.write_text(source.read_text(encoding="utf-8") + "\n# touched\n", encoding="utf-8")


def log_of(container: Container) -> list[dict[str, Any]]:
    return [json.loads(line) for line in container.logs(stderr=False).splitlines()]


@pytest.mark.parametrize("name", ["chat", "model", "settings", "broken", "rollback"])
def test_no_request_and_no_stream_fails(run: Run, name: str) -> None:
    update = run.updates[name]
    requests = run.during(update, run.requests)
    sent = Counter((request["kind"], request["fresh"]) for request in requests)
    assert len(sent) == 4
    # A broken version is refused within seconds, so there are few requests of each kind.
    assert min(sent.values()) > 5, sent
    assert [one for one in requests if "failure" in one] == []
    assert [one for one in run.during(update, run.streams) if "failure" in one] == []


@pytest.mark.parametrize("name", ["chat", "model", "settings", "rollback"])
def test_the_old_container_drained_its_streams(run: Run, name: str) -> None:
    update = run.updates[name]
    assert run.drained(update), "no stream was open: nothing was tested"
    assert update.exit_code in (0, 143), "it was killed or cut its answers"


def test_the_gateway_does_not_wait_for_removed_servers(run: Run) -> None:
    """A client with a new connection may still use an old IP address."""
    kept = [one for one in run.requests if not one["fresh"]]
    assert [one for one in kept if one["ended"] - one["begun"] > 5] == []


def test_the_monitor_sends_no_alert(run: Run) -> None:
    alarming = {"service failed", "restart requested", "flapping started"}
    assert [line for line in run.monitor if line.get("alert") or line["message"] in alarming] == []


def test_a_broken_version_fails_the_update_at_once_with_its_message(run: Run) -> None:
    assert re.search(r"chat-interface-\w+: its program ended", run.failed_update), run.failed_update
    assert "broken on purpose" in run.failed_update
    broken = run.updates["broken"]
    assert broken.exit_code is None, "the old container keeps serving"


def test_a_removed_secret_is_deleted(serving: StackUnderTest, run: Run) -> None:
    def secrets() -> set[str]:
        listed = running(serving, "monitor").exec_run(["ls", "/run/secrets"]).output
        assert isinstance(listed, bytes)
        return set(listed.decode().split())

    before = secrets()
    serving.pulumi(
        "config", "set", "--secret", "alertWebhook-team", "http://alerts.invalid/not-a-real-one"
    )
    serving.up()
    assert secrets() == {*before, "webhook-team"}
    serving.pulumi("config", "rm", "alertWebhook-team")
    serving.up()
    assert secrets() == before
    serving.pulumi("preview", "--expect-no-changes")


def test_a_model_that_does_not_fit_twice_is_reported_with_a_command(
    serving: StackUnderTest, run: Run
) -> None:
    catalogue = serving.project / "services.yaml"
    most = int(serving.engine.info()["MemTotal"] / 1024**2 * 0.6)
    text = catalogue.read_text(encoding="utf-8").replace("memory: 3GiB", f"memory: {most}MiB", 1)
    catalogue.write_text(text, encoding="utf-8")
    output = serving.pulumi("preview").stdout
    command = re.search(r"pulumi (config set --path '(\S+)' recreate)", output)
    assert command, output
    assert "phi-inference: an update runs its old and its new container side by side" in output
    serving.pulumi("config", "set", "--path", command[2], "recreate")
    assert "side by side" not in serving.pulumi("preview").stdout
