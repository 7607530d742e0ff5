"""A container that asks another one over its network."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from docker.models.containers import Container

from components.runtime.docker.question import Question, network_of

URL = "http://{address}:80/ready"


class Asking:
    """A double of the container that asks."""

    def __init__(self) -> None:
        self.attrs: dict[str, Any] = {"State": {"Status": "running", "ExitCode": 0}}
        self.removed = 0
        self.reloaded: Exception | None = None

    def reload(self) -> None:
        if self.reloaded:
            raise self.reloaded

    def remove(self, *, force: bool) -> None:
        assert force, "it may still run"
        self.removed += 1

    def ended(self, code: int) -> None:
        self.attrs["State"] = {"Status": "exited", "ExitCode": code}


class Client:
    """A double of Docker's client, which starts such containers."""

    def __init__(self) -> None:
        self.containers = self
        self.started: list[tuple[str, dict[str, Any]]] = []
        self.asking = [Asking(), Asking()]

    def run(self, image: str, **options: Any) -> Asking:
        self.started.append((image, options))
        return self.asking[len(self.started) - 1]


@pytest.fixture
def client() -> Client:
    return Client()


def asked(address: str = "10.0.0.7", **network: str) -> Any:
    networks = {"llm-network": {"IPAddress": address, **network}}
    attrs = {
        "NetworkSettings": {"Networks": networks},
        "Config": {"Labels": {"llm-stack.stack": "dev"}},
    }
    return SimpleNamespace(attrs=attrs, id="c1")


def question(client: Client, container: Any) -> Question:
    return Question(
        cast(docker.DockerClient, client), cast(Container, container), URL, "monitor-image", 90
    )


def test_it_asks_the_address_of_the_container_on_its_network(client: Client) -> None:
    with question(client, asked()) as check:
        assert not check.passes()
    ((image, options),) = client.started
    assert image == "monitor-image"
    assert options["network"] == "llm-network"
    assert options["command"] == ["http://10.0.0.7:80/ready", "90"]
    assert options["detach"] is True
    assert options["labels"] == {"llm-stack.stack": "dev", "llm-stack.temporary": "c1"}
    assert options["name"].startswith("dev-question-")


def test_it_is_as_strict_as_other_containers(client: Client) -> None:
    with question(client, asked()) as check:
        check.passes()
    ((_, options),) = client.started
    assert options["user"] == "10001:10001"
    assert options["read_only"] is True
    assert options["cap_drop"] == ["ALL"]
    assert options["security_opt"] == ["no-new-privileges:true"]
    assert options["mem_limit"] == "64m"


def test_it_passes_once_the_program_has_ended_well(client: Client) -> None:
    with question(client, asked()) as check:
        assert not check.passes()
        assert not check.passes()
        client.asking[0].ended(0)
        assert check.passes()
    assert len(client.started) == 1, "one container for the whole wait"
    assert client.asking[0].removed == 1


def test_it_does_not_pass_when_nothing_answered_in_time(client: Client) -> None:
    with question(client, asked()) as check:
        check.passes()
        client.asking[0].ended(1)
        assert not check.passes()


def test_its_container_goes_when_the_wait_fails(client: Client) -> None:
    def fail() -> None:
        with question(client, asked()) as check:
            check.passes()
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fail()
    assert client.asking[0].removed == 1


def test_an_unused_question_starts_nothing(client: Client) -> None:
    with question(client, asked()):
        pass
    assert client.started == []


@pytest.mark.parametrize("networks", [{}, {"llm-network": {"IPAddress": ""}}])
def test_a_container_without_an_address_is_not_asked(
    client: Client, networks: dict[str, Any]
) -> None:
    container = asked()
    with question(client, container) as check:
        check.passes()
        container.attrs["NetworkSettings"]["Networks"] = networks
        client.asking[0].ended(0)
        assert not check.passes(), "what it asked before has ended"
        assert client.asking[0].removed == 1
        container.attrs["NetworkSettings"]["Networks"] = {"llm-network": {"IPAddress": "10.0.0.8"}}
        assert not check.passes()
    assert client.started[1][1]["command"][0] == "http://10.0.0.8:80/ready", "its new address"
    assert [one.removed for one in client.asking] == [1, 1]


def test_a_container_that_others_removed_is_started_again(client: Client) -> None:
    with question(client, asked()) as check:
        check.passes()
        client.asking[0].reloaded = docker.errors.NotFound("gone")
        assert not check.passes()
        assert not check.passes()
        client.asking[1].ended(0)
        assert check.passes()


def test_an_engine_that_cannot_remove_it_does_not_hide_the_result(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*, force: bool) -> None:
        raise docker.errors.APIError("removal is in progress")

    monkeypatch.setattr(client.asking[0], "remove", refuse)
    with question(client, asked()) as check:
        client.asking[0].ended(0)
        assert check.passes()


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ({"one": {"IPAddress": "10.0.0.7"}}, ("one", "10.0.0.7")),
        ({"six": {"IPAddress": "", "GlobalIPv6Address": "fd00::7"}}, ("six", "fd00::7")),
        ({"one": {"IPAddress": ""}}, ("one", "")),
        ({}, ("", "")),
        (None, ("", "")),
    ],
)
def test_the_address_is_that_on_the_first_network(
    networks: dict[str, Any] | None, expected: tuple[str, str]
) -> None:
    assert network_of({"NetworkSettings": {"Networks": networks}}) == expected


class Unready(BaseHTTPRequestHandler):
    """Answers with an error first."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        self.send_response(200 if self.requests > 1 else 503)
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


def run_program(client: Client, url: str, seconds: str) -> int:
    """The exit code of the program that the container runs, with another URL."""
    with question(client, asked()) as check:
        check.passes()
    ((_, options),) = client.started
    _, *flags = options["entrypoint"]
    return subprocess.run([sys.executable, *flags, url, seconds], check=False).returncode


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_the_program_ends_well_once_the_service_answers(client: Client, scheme: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Unready) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        code = run_program(client, f"{scheme}://127.0.0.1:{server.server_port}/ready", "30")
        server.shutdown()
        thread.join()
    assert code == 0
    if scheme == "http":
        assert Unready.requests == 2, "an error is not the answer that was asked for"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "tcp://127.0.0.1:1"])
def test_the_program_fails_when_nothing_answers(client: Client, url: str) -> None:
    assert run_program(client, url, "0.1") == 1
