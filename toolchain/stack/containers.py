"""The containers and volumes of the dev stack, as the engine sees them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from toolchain.project import DEV_STACK, NAME
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import ask

STACK_LABEL = f"{NAME}.stack={DEV_STACK}"
SERVICE_LABEL = f"{NAME}.service"
LOG_LINES = 15


@dataclass(frozen=True)
class Container:
    """A container of the stack."""

    id: str
    name: str
    service: str | None
    """None for one that carries files and never runs."""
    status: str
    health: str | None
    restarts: int

    @property
    def well(self) -> bool:
        """Whether it does what it should, as far as is known: the engine first checks it an
        interval after its start, and calls it starting until then."""
        unknown = self.health == "starting" and not self.restarts
        return self.service is None or (
            self.status == "running" and (self.health in {None, "healthy"} or unknown)
        )

    @property
    def condition(self) -> str:
        """Its state in words."""
        health = f", {self.health}" if self.health else ""
        restarts = f", restarted {self.restarts} times" if self.restarts else ""
        return f"{self.status}{health}{restarts}"

    def last_log_lines(self) -> list[str]:
        """What it said last, on both streams."""
        answer = ask(["docker", "logs", "--tail", str(LOG_LINES), self.id])
        return (answer.out + answer.err).splitlines()[-LOG_LINES:]


def list_containers() -> list[Container]:
    """All containers of the stack, running or not."""
    listed = ask(["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={STACK_LABEL}"])
    ids = listed.out.split()
    if not ids:
        return []
    # One that goes meanwhile makes docker fail, with the others still on its output.
    inspected = ask(["docker", "inspect", "--type", "container", *ids])
    return [read_container(description) for description in json.loads(inspected.out or "[]")]


def read_container(description: dict[str, Any]) -> Container:
    """A container from what `docker inspect` says of it."""
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
    """Remove a `container`, `network` or `volume`; whether there was one."""
    force = ["--force"] if kind == "container" else []
    exists = ask(["docker", kind, "inspect", name]).ok
    return exists and ask(["docker", kind, "rm", *force, name]).ok


def volumes() -> list[str]:
    """Names of the stack's volumes, those of models among them."""
    answer = ask(["docker", "volume", "ls", "-q", "--filter", f"label={STACK_LABEL}"])
    return answer.out.split()


def remove_volumes(names: list[str]) -> None:
    """Remove volumes with all that is in them; raises `SetupError` where one is in use."""
    answer = ask(["docker", "volume", "rm", *names])
    if not answer.ok:
        raise SetupError(f"Not every volume could be removed:\n{answer.err.strip()}")
