"""Host ports that another program uses, and limits that the machine does not have."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from components.config.compose.ports import PublishedPort
from components.engine.info import EngineInfo
from components.engine.lists import EngineObject, Kind
from tests.doubles.recording_engine import StackRunner
from tests.ports import free_port

EIGHT = EngineInfo(cpus=8)
CHECKS = "components.preflight.checks"


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def run(run_program: StackRunner, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(port: int, *listed: EngineObject, info: EngineInfo = EIGHT) -> None:
        monkeypatch.setattr(f"{CHECKS}.ask_engine", lambda host: info)
        monkeypatch.setattr(f"{CHECKS}.list_engine", lambda host, on_swarm: listed)
        run_program(
            {
                "services": ["chat-interface", "phi-inference"],
                "hostPorts": {"chat-interface": port, "phi-inference": free_port()},
                "monitor": {"socketGroup": 999},
            }
        )

    return run


def publishing(name: str, port: int, stack: str, address: str = "0.0.0.0") -> EngineObject:
    ports = (PublishedPort(port, 80, address),)
    return EngineObject(Kind.CONTAINER, name, name, {"llm-stack.stack": stack}, "running", ports)


def test_a_port_of_another_container_is_refused(run: Any, used_port: int) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run(used_port, publishing("web-1", used_port, "prod"))
    assert str(refusal.value) == (
        "Pulumi.test.yaml: llm-stack:hostPorts.chat-interface: the container web-1 of the stack "
        f"prod publishes this port; found {used_port}; allowed: a free port; "
        "run: pulumi config set --path llm-stack:hostPorts.chat-interface <port>"
    )


def test_a_port_of_another_program_is_refused(run: Any, used_port: int) -> None:
    with pytest.raises(pulumi.RunError, match="another program on this machine uses this port"):
        run(used_port)


def test_a_port_of_this_stack_is_not_refused(run: Any, used_port: int) -> None:
    run(used_port, publishing("chat-interface-1", used_port, "test"))


def test_the_ports_of_another_machine_are_not_tried(run: Any, used_port: int) -> None:
    run(used_port, info=EngineInfo(cpus=8, desktop=True))


def test_more_processors_than_the_machine_has_are_refused(run: Any) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run(free_port(), info=EngineInfo(cpus=1))
    problem = str(refusal.value)
    assert "services.phi-inference.cpus: the engine has fewer processors; found 2; " in problem
    assert problem.endswith("allowed: at most the 1 of the engine's machine")
