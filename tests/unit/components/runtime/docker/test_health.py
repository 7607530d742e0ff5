"""The update gate on one engine: when it opens, and when it fails the update at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from docker.models.containers import Container

from components.runtime.docker.health import (
    SETTLED_SECONDS,
    Completion,
    EarlyCheck,
    Expected,
    NotHealthy,
    Settled,
    check_command,
    failure_of,
    is_healthy,
    wait_until_healthy,
)


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


STARTED = "2026-11-27T22:00:00Z"
NEVER = "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("attrs", "completed"),
    [
        (container(running=False, status="exited", StartedAt=STARTED), True),
        (container(running=False, status="exited", StartedAt=STARTED, ExitCode=1), False),
        (container(StartedAt=STARTED), False),
        (container(running=False, status="created", StartedAt=NEVER), False),
        (container(running=False, status="exited", StartedAt=NEVER), False),
    ],
)
def test_a_job_has_completed_once_its_program_has_ended_well(
    attrs: dict[str, Any], completed: bool
) -> None:
    assert Completion(cast(Container, SimpleNamespace(attrs=attrs))).passes() is completed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as its one entry."""
    now = [1000.0]
    monkeypatch.setattr("components.runtime.docker.health.time.monotonic", lambda: now[0])
    return now


def test_a_program_without_a_check_has_started_once_it_has_run_a_while(clock: list[float]) -> None:
    running = SimpleNamespace(attrs=container())
    settled = Settled(cast(Container, running), clock[0])
    clock[0] += SETTLED_SECONDS - 0.1
    assert not settled.passes()
    clock[0] += 0.1
    assert settled.passes()


def test_the_while_begins_again_when_the_program_ends(clock: list[float]) -> None:
    one = SimpleNamespace(attrs=container())
    settled = Settled(cast(Container, one), clock[0])
    clock[0] += SETTLED_SECONDS - 1
    one.attrs = container(running=False, status="restarting")
    assert not settled.passes()
    one.attrs = container()
    clock[0] += SETTLED_SECONDS - 1
    assert not settled.passes()
    clock[0] += 1
    assert settled.passes()


class Engine:
    """A double of the engine and of its one container, which goes through these states."""

    def __init__(self, *states: dict[str, Any], test: list[str] | None = None) -> None:
        self.containers = self
        self.name = "app"
        self.id = "c"
        self.config = {"Config": {"Healthcheck": {"Test": test} if test else None}}
        self.states = [{**state, **self.config, **NETWORK} for state in states]
        self.attrs = self.states[0]
        self.done: list[str] = []

    @property
    def status(self) -> str:
        return str(self.attrs["State"]["Status"])

    def get(self, container_id: str) -> Engine:
        assert container_id == "c"
        return self

    def reload(self) -> None:
        self.attrs = self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def start(self) -> None:
        self.done.append("start")

    def stop(self, *, timeout: int) -> None:
        self.done.append("stop")

    def logs(self, *, tail: int) -> bytes:
        return b"first line\nlast line\n"

    def close(self) -> None:
        self.done.append("close")


NETWORK = {"NetworkSettings": {"Networks": {"llm-network": {"IPAddress": "10.0.0.7"}}}}
QUESTION = "tcp://{address}:80"


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The checks that the gate uses, each of which passes at once."""
    used: list[str] = []

    class Passing:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> Passing:
            return self

        def __exit__(self, *error: object) -> None: ...

        def passes(self) -> bool:
            used.append(self.name)
            return True

    for name in ("EarlyCheck", "Question", "Settled"):
        monkeypatch.setattr(
            f"components.runtime.docker.health.{name}",
            lambda *_, name=name: Passing(name),
        )
    return used


async def wait(engine: Engine, monkeypatch: pytest.MonkeyPatch, expected: Expected) -> None:
    monkeypatch.setattr("components.runtime.docker.health.docker_client", lambda host: engine)
    monkeypatch.setattr("components.runtime.docker.health.POLL_SECONDS", 0)
    monkeypatch.setattr("components.runtime.docker.health.POLL_SHARE", 0)
    await wait_until_healthy("c", 5, None, None, expected)


@pytest.mark.parametrize(
    ("test", "expected", "check"),
    [
        (["CMD", "ready"], Expected(), "EarlyCheck"),
        (["CMD", "ready"], Expected(question=QUESTION, asking_image="monitor"), "EarlyCheck"),
        (None, Expected(question=QUESTION, asking_image="monitor"), "Question"),
        (["NONE"], Expected(question=QUESTION, asking_image="monitor"), "Question"),
        (None, Expected(question=QUESTION), "Settled"),
        (None, Expected(asking_image="monitor"), "Settled"),
        (None, Expected(), "Settled"),
    ],
)
async def test_the_gate_uses_the_best_check_that_there_is(
    chosen: list[str],
    monkeypatch: pytest.MonkeyPatch,
    test: list[str] | None,
    expected: Expected,
    check: str,
) -> None:
    engine = Engine(container(StartedAt=STARTED), test=test)
    await wait(engine, monkeypatch, expected)
    assert chosen == [check]
    assert engine.done == ["close"], "what is healthy stays as it is"


async def test_the_gate_waits_for_a_job_until_it_has_ended(
    chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = container(running=False, status="exited", StartedAt=STARTED)
    healthy = container(StartedAt=STARTED, health={"Status": "healthy"})
    engine = Engine(healthy, healthy, ended, test=["CMD", "ready"])
    await wait(engine, monkeypatch, Expected(is_job=True))
    assert chosen == [], "no check of a server counts"
    assert engine.attrs["State"]["Status"] == "exited"
    assert engine.done == ["close"]


async def test_a_job_that_failed_reports_its_exit_code_and_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = container(running=False, status="exited", StartedAt=STARTED, ExitCode=3)
    engine = Engine(container(StartedAt=STARTED), failed)
    with pytest.raises(NotHealthy) as failure:
        await wait(engine, monkeypatch, Expected(is_job=True))
    assert str(failure.value) == ("app: its program ended with exit code 3\nfirst line\nlast line")


@pytest.mark.parametrize(("code", "done"), [(0, ["close"]), (1, ["start", "close"])])
async def test_the_next_update_starts_a_job_again_only_if_it_failed(
    monkeypatch: pytest.MonkeyPatch, code: int, done: list[str]
) -> None:
    before = container(running=False, status="exited", StartedAt=STARTED, ExitCode=code)
    ended = container(running=False, status="exited", StartedAt=STARTED)
    engine = Engine(before, ended)
    engine.states.pop(0)
    await wait(engine, monkeypatch, Expected(is_job=True))
    assert engine.done == done


async def test_a_server_that_has_ended_is_started_again(
    chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = container(running=False, status="exited", StartedAt=STARTED)
    engine = Engine(ended, container(StartedAt=STARTED))
    engine.states.pop(0)
    await wait(engine, monkeypatch, Expected())
    assert engine.done == ["start", "close"]


@pytest.mark.parametrize(("is_job", "wanted"), [(False, "healthy"), (True, "ended")])
async def test_the_gate_fails_at_its_time_limit(
    monkeypatch: pytest.MonkeyPatch, is_job: bool, wanted: str
) -> None:
    engine = Engine(container(StartedAt=STARTED))
    monkeypatch.setattr("components.runtime.docker.health.docker_client", lambda host: engine)
    with pytest.raises(
        NotHealthy, match=rf"app: not {wanted} after 0 s[^\n]*\nfirst line\nlast line"
    ):
        await wait_until_healthy("c", 0, None, None, Expected(is_job=is_job))
    assert engine.done == ["stop", "close"]
