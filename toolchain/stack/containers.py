"""The containers and volumes of the dev stack on the engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from toolchain.project import DEV_STACK, NAME
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture

STACK_LABEL = f"{NAME}.stack={DEV_STACK}"
SERVICE_LABEL = f"{NAME}.service"
LOG_LINES = 15


@dataclass(frozen=True)
class Container:
    """A container of the stack."""

    id: str
    name: str
    service: str | None
    """None for a carrier of files, which never runs."""
    status: str
    health: str | None
    restarts: int

    @property
    def healthy(self) -> bool:
        """Whether the container runs and no health check has failed.

        `starting` counts as healthy unless the container was restarted: the first health check
        runs one interval after the start.
        """
        unknown = self.health == "starting" and not self.restarts
        return self.service is None or (
            self.status == "running" and (self.health in {None, "healthy"} or unknown)
        )

    @property
    def condition(self) -> str:
        """The state as text."""
        health = f", {self.health}" if self.health else ""
        restarts = f", restarted {self.restarts} times" if self.restarts else ""
        return f"{self.status}{health}{restarts}"

    def last_log_lines(self) -> list[str]:
        """The last lines of both output streams."""
        result = capture(["docker", "logs", "--tail", str(LOG_LINES), self.id])
        return (result.out + result.err).splitlines()[-LOG_LINES:]


def list_containers() -> list[Container]:
    """All containers of the stack, running or not."""
    listed = capture(["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={STACK_LABEL}"])
    ids = listed.out.split()
    if not ids:
        return []
    # If a container is removed meanwhile, docker fails but still prints the others.
    inspected = capture(["docker", "inspect", "--type", "container", *ids])
    return [read_container(description) for description in json.loads(inspected.out or "[]")]


def read_container(description: dict[str, Any]) -> Container:
    """A container from the output of `docker inspect`."""
    state = description["State"]
    return Container(
        id=description["Id"],
        name=description["Name"].removeprefix("/"),
        service=description["Config"]["Labels"].get(SERVICE_LABEL),
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        restarts=description.get("RestartCount", 0),
    )


def remove(kind: str, name: str) -> bool:
    """Remove a `container`, `network` or `volume`; return whether it existed."""
    force = ["--force"] if kind == "container" else []
    exists = capture(["docker", kind, "inspect", name]).ok
    return exists and capture(["docker", kind, "rm", *force, name]).ok


def volumes() -> list[str]:
    """Names of the stack's volumes, including model volumes."""
    result = capture(["docker", "volume", "ls", "-q", "--filter", f"label={STACK_LABEL}"])
    return result.out.split()


def remove_volumes(names: list[str]) -> None:
    """Remove volumes with their content; raises `SetupError` if one is in use."""
    result = capture(["docker", "volume", "rm", *names])
    if not result.ok:
        raise SetupError(f"Docker Engine did not remove every volume:\n{result.err.strip()}")
