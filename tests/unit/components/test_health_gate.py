"""When the gate of an update opens, and when it fails the update at once."""

from __future__ import annotations

from typing import Any

import pytest

from components.health_gate import failure_of, is_healthy


def container(
    *,
    running: bool = True,
    status: str = "running",
    restarts: int = 0,
    health: Any = None,
    **state: Any,
) -> dict[str, Any]:
    """What the engine tells of a container."""
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


def test_the_gate_opens_only_for_a_container_that_the_engine_calls_healthy() -> None:
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
def test_waiting_goes_on_while_health_may_come(attrs: dict[str, Any]) -> None:
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
