"""The update gate on one engine: when it opens, and when it fails the update at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from docker.models.containers import Container

from components.runtime.docker.health import EarlyCheck, check_command, failure_of, is_healthy


def container(
    *,
    running: bool = True,
    status: str = "running",
    restarts: int = 0,
    health: Any = None,
    **state: Any,
) -> dict[str, Any]:
    """The engine's attributes of a container."""
    return {
        "RestartCount": restarts,
        "State": {
            "Running": running,
            "Status": status,
            "ExitCode": 0,
            **({"Health": health} if health else {}),
            **state,
        },
    }


def test_the_gate_opens_only_for_a_healthy_container() -> None:
    assert is_healthy(container(health={"Status": "healthy"}))
    assert not is_healthy(container(health={"Status": "starting"}))
    assert not is_healthy(container(running=False, status="exited", health={"Status": "healthy"}))


@pytest.mark.parametrize(
    "attrs",
    [
        container(health={"Status": "starting"}),
        container(running=False, status="created"),
        container(health={"Status": "healthy"}),
        container(health={"Status": "unhealthy", "Log": [{"ExitCode": -1, "Output": "timeout"}]}),
    ],
)
def test_the_gate_waits_while_a_container_can_become_healthy(attrs: dict[str, Any]) -> None:
    assert failure_of(attrs) is None


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        (
            container(running=False, status="exited", ExitCode=3),
            "its program ended with exit code 3",
        ),
        (
            container(running=False, status="created", Error="no such runtime"),
            "the engine could not start it: no such runtime",
        ),
        (container(restarts=1), "its program ended, and the engine started it again"),
        (
            container(running=False, status="exited", ExitCode=137, OOMKilled=True),
            "its program ended with exit code 137, out of memory",
        ),
        (
            container(
                health={"Status": "unhealthy", "Log": [{"ExitCode": 1, "Output": "refused\n"}]}
            ),
            "its health check fails: refused",
        ),
    ],
)
def test_a_container_that_cannot_become_healthy_fails_at_once(
    attrs: dict[str, Any], reason: str
) -> None:
    assert failure_of(attrs) == reason


@pytest.mark.parametrize(
    ("test", "command"),
    [
        (["CMD", "redis-cli", "ping"], ["redis-cli", "ping"]),
        (["CMD-SHELL", "curl -f :80 || exit 1"], ["/bin/sh", "-c", "curl -f :80 || exit 1"]),
        (["NONE"], None),
        (None, None),
    ],
)
def test_a_health_check_is_parsed_as_by_the_engine(
    test: list[str] | None, command: list[str] | None
) -> None:
    assert check_command({"Config": {"Healthcheck": {"Test": test} if test else None}}) == command


def test_a_shell_health_check_runs_in_the_shell_of_its_image() -> None:
    config = {"Healthcheck": {"Test": ["CMD-SHELL", "true"]}, "Shell": ["/bin/bash", "-c"]}
    assert check_command({"Config": config}) == ["/bin/bash", "-c", "true"]


class Execs:
    """A double of the engine's exec API: created, running, then ended with an exit code."""

    def __init__(self) -> None:
        self.begun = 0
        self.state: dict[str, Any] = {"Running": True, "ExitCode": None}
        self.gone = False

    def exec_create(self, container: str, command: list[str]) -> dict[str, str]:
        if self.gone:
            raise docker.errors.APIError("the container is not running")
        self.begun += 1
        return {"Id": f"{container} {' '.join(command)} {self.begun}"}

    def exec_start(self, exec_id: str, *, detach: bool) -> None:
        assert detach, "a check that hangs must not hold the gate"

    def exec_inspect(self, exec_id: str) -> dict[str, Any]:
        return self.state


@pytest.fixture
def execs() -> Execs:
    return Execs()


@pytest.fixture
def check(execs: Execs) -> EarlyCheck:
    attrs = {"Config": {"Healthcheck": {"Test": ["CMD", "check"]}}}
    container = SimpleNamespace(id="c", status="running", attrs=attrs)
    client = SimpleNamespace(api=execs)
    return EarlyCheck(cast(docker.DockerClient, client), cast(Container, container))


def test_an_early_check_opens_the_gate_when_it_succeeds(check: EarlyCheck, execs: Execs) -> None:
    assert not check.passes()
    assert not check.passes()
    assert execs.begun == 1, "one at a time"
    execs.state = {"Running": False, "ExitCode": 0}
    assert check.passes()


def test_a_failed_early_check_is_repeated(check: EarlyCheck, execs: Execs) -> None:
    execs.state = {"Running": False, "ExitCode": 1}
    assert [check.passes(), check.passes()] == [False, False]
    assert execs.begun == 2


def test_an_early_check_in_an_exited_container_does_not_pass(
    check: EarlyCheck, execs: Execs
) -> None:
    execs.gone = True
    assert not check.passes()
