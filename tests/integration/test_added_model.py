"""A model and a key are added to a running stack under load, and removed again: no container is
replaced."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.chat.access.keys import new_key
from tests.integration.conftest import StackUnderTest
from tests.integration.steady_clients import CHAT, steady_clients

PHI, ADDED = "phi-inference", "added-inference"
MODEL = (
    "models:\n  added: {bundled: tiny, context: 512, slots: 1, threads: 1, description: Added}\n"
)
SERVICE = f"""
services:
  {ADDED}: {{kind: inference, description: Added, model: added, memory: 512MiB, cpus: 0.5}}
"""
# Of a model: its component, files, volume, container and gate. All others are lists and keys.
LISTS = {
    f"pulumi:index:Stash::{CHAT}-secrets": "update",
    f"pulumi:index:Stash::{CHAT}-lists": "update",
    "pulumi:index:Stash::monitor-lists": "update",
    "pulumi:index:Stash::restarter-lists": "update",
}
VISIBLE_WITHIN = 5.0


@dataclass
class Change:
    """An update that adds or removes the model."""

    planned: dict[str, str]
    written: float
    """When the update had returned, or its list was in place."""
    seen: dict[str, float] = field(default_factory=dict)
    """By program: when it first reported the change."""


@dataclass
class Run:
    """Both updates, and what the clients of the other model saw meanwhile."""

    added: Change
    removed: Change
    requests: list[dict[str, Any]]
    streams: list[dict[str, Any]]
    containers: list[dict[str, str]]
    """Ids by service: before, with the model, and afterwards."""
    starts: list[dict[str, str]]
    answer: str


KEY, OF_CLIENTS = new_key("clients")
ADDED_KEY, OF_ADDED = new_key("added")


def write_catalogue(stack: StackUnderTest, *, added: bool) -> None:
    """The catalogue's own entries, and one model more in a file beside them."""
    extra = stack.project / "catalog" / "added.yaml"
    if added:
        extra.write_text(MODEL + SERVICE, encoding="utf-8")
    else:
        extra.unlink(missing_ok=True)
    services = [CHAT, PHI, *([ADDED] if added else [])]
    stack.configure(services=services, placeholderModel="tiny", monitor={"interval": 2})
    keys = [OF_CLIENTS, *([OF_ADDED] if added else [])]
    content = {"keys": [{"name": one.name, "sha256": one.sha256} for one in keys]}
    stack.pulumi("config", "set", "--secret", "llm-stack:apiKeys", json.dumps(content))


def ask(stack: StackUnderTest, url: str, key: str = KEY, body: dict[str, Any] | None = None) -> str:
    """The response to a request from the chat's container, or its error."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    data = None if body is None else json.dumps(body).encode()
    request = f"r.Request({url!r}, {data!r}, {headers!r})"
    program = f"import urllib.request as r; print(r.urlopen({request}, timeout=60).read().decode())"
    _, output = stack.containers()[CHAT].exec_run(["python3", "-c", program])
    assert isinstance(output, bytes)
    return output.decode()


def shows(answer: str, text: str) -> bool | None:
    """Whether a response contains a text; None for an error, such as that of a busy machine."""
    return text in answer if answer.startswith("{") else None


def accepts(answer: str) -> bool | None:
    """Whether a key was accepted."""
    return shows(answer, "") or (False if "HTTP Error 401" in answer else None)


@contextmanager
def watching(stack: StackUnderTest, change: Change, *, listed: bool) -> Iterator[None]:
    """Note when the gateway and the monitor first show the change."""
    models, status = "http://127.0.0.1:8080/v1/models", "http://monitor:8090/api/v1/status"
    shown: dict[str, Callable[[], bool | None]] = {
        "gateway": lambda: shows(ask(stack, models), '"added"'),
        "monitor": lambda: shows(ask(stack, status), f'"{ADDED}"'),
        "keys": lambda: accepts(ask(stack, models, ADDED_KEY)),
    }
    done = threading.Event()

    def watch() -> None:
        while shown.keys() - change.seen.keys() and not done.is_set():
            for program, looks in shown.items():
                if program not in change.seen and looks() is listed:
                    change.seen[program] = time.time()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
        thread.join(VISIBLE_WITHIN + 5)
    finally:
        done.set()
        thread.join()


def ids(stack: StackUnderTest) -> dict[str, str]:
    return {name: str(one.id) for name, one in stack.containers().items() if name != "clients"}


def starts(stack: StackUnderTest) -> dict[str, str]:
    """When each container was started: another time after a restart."""
    return {name: one.attrs["State"]["StartedAt"] for name, one in stack.containers().items()}


def update(stack: StackUnderTest, *, added: bool) -> Change:
    write_catalogue(stack, added=added)
    change = Change(stack.planned_changes(), 0.0)
    with watching(stack, change, listed=added):
        stack.up()
        change.written = time.time()
    return change


@pytest.fixture(scope="module")
def run(stack: StackUnderTest) -> Run:
    write_catalogue(stack, added=False)
    stack.up()
    stack.wait_until_healthy()
    containers, started = [ids(stack)], [starts(stack)]
    with steady_clients(stack, KEY, tokens=200) as seen:
        added = update(stack, added=True)
        containers.append(ids(stack))
        messages = [{"role": "user", "content": "Hi"}]
        question = {"model": "added", "messages": messages, "max_tokens": 2}
        answer = ask(stack, "http://127.0.0.1:8080/v1/chat/completions", ADDED_KEY, question)
        removed = update(stack, added=False)
        containers.append(ids(stack))
        started.append({n: at for n, at in starts(stack).items() if n != "clients"})
    run = Run(
        added,
        removed,
        seen["requests"],
        seen["streams"],
        containers,
        started,
        answer,
    )
    for name, change in (("added", added), ("removed", removed)):
        after = {program: f"{at - change.written:.1f} s" for program, at in change.seen.items()}
        print(f"{name}: planned {change.planned}; visible after the update's end: {after}")
    print(f"{len(run.requests)} requests, {len(run.streams)} streams")
    return run


def test_a_preview_shows_the_models_own_resources_and_the_lists(run: Run) -> None:
    for change, step in ((run.added, "create"), (run.removed, "delete")):
        own = {name for name in change.planned if name.rpartition("::")[2].startswith(ADDED)}
        assert {name: op for name, op in change.planned.items() if name not in own} == LISTS
        assert {change.planned[name] for name in own} == {step}


def test_no_container_is_replaced_or_restarted(run: Run) -> None:
    before, between, after = run.containers
    assert {n: one for n, one in between.items() if n != ADDED} == before == after
    assert ADDED in between
    assert run.starts[0] == run.starts[1]


def test_no_request_fails(run: Run) -> None:
    assert len(run.requests) > 100
    assert run.streams
    assert [one for one in (*run.requests, *run.streams) if "failure" in one] == []


def test_gateway_and_monitor_show_the_change_and_keys_hold_within_five_seconds(run: Run) -> None:
    for change in (run.added, run.removed):
        assert change.seen.keys() == {"gateway", "monitor", "keys"}
        assert all(at - change.written < VISIBLE_WITHIN for at in change.seen.values())


def test_the_added_model_answers(run: Run) -> None:
    assert '"choices"' in run.answer
