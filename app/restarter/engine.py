"""The three requests made of Docker: list and inspect the containers of a service, restart one.

Paths carry no API version, so that engines of any age take their own.
Source of the field names: Docker Engine API, ContainerList, ContainerInspect, ContainerRestart.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.parse
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.restarter.containers import Check, Container

STACK_LABEL = "llm-stack.stack"
SERVICE_LABEL = "llm-stack.service"
SWARM_LABEL = "com.docker.swarm.task.id"

CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
ASK_WITHIN = 10.0
# A container is given its own stop timeout to end in, which may be minutes.
RESTART_WITHIN = 600.0
ANSWER_LIMIT = 8 * 1024 * 1024


class EngineError(Exception):
    """Docker cannot be reached, or refused."""


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of host and port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The Docker engine behind a socket; every request opens a connection of its own."""

    def __init__(self, docker_socket: str) -> None:
        self._socket = docker_socket

    def ping(self) -> None:
        """Raises EngineError where Docker does not answer."""
        self._ask("GET", "/_ping", within=3.0)

    def containers(self, stack: str, service: str) -> list[Container]:
        """The containers of a service, running or not; raises EngineError."""
        wanted = {STACK_LABEL: stack, SERVICE_LABEL: service}
        labels = [f"{key}={value}" for key, value in wanted.items()]
        query = urllib.parse.urlencode({"all": "1", "filters": json.dumps({"label": labels})})
        found = []
        for entry in json.loads(self._ask("GET", f"/containers/json?{query}")):
            facts = self._inspect(entry.get("Id", ""))
            # The filter did this already; what decides about a restart is not left to it alone.
            if facts and wanted.items() <= (facts["Config"].get("Labels") or {}).items():
                found.append(read_container(facts))
        return found

    def _inspect(self, identity: str) -> Any:
        if not CONTAINER_ID.fullmatch(identity):
            raise EngineError("Docker listed a container without a proper id")
        try:
            return json.loads(self._ask("GET", f"/containers/{identity}/json"))
        except FileNotFoundError:
            return None

    def restart(self, container: Container) -> None:
        """Restart and wait until it is started; raises EngineError, FileNotFoundError."""
        self._ask("POST", f"/containers/{container.id}/restart", within=RESTART_WITHIN)

    def _ask(self, method: str, path: str, within: float = ASK_WITHIN) -> bytes:
        connection = _SocketConnection(self._socket, within)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read(ANSWER_LIMIT)
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"Docker cannot be reached: {error}") from None
        finally:
            connection.close()
        if answer.status == 404:
            raise FileNotFoundError(path)
        if answer.status >= 300:
            raise EngineError(f"Docker refused: {_message(body)}")
        return body


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")


def read_container(facts: Mapping[str, Any]) -> Container:
    """The facts that matter, out of an answer of ContainerInspect."""
    state, config = facts["State"], facts["Config"]
    health = state.get("Health") or {}
    check = config.get("Healthcheck") or {}
    return Container(
        id=facts["Id"],
        name=str(facts.get("Name", "")).lstrip("/"),
        status=state["Status"],
        started_at=read_time(state.get("StartedAt")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        restart_count=int(facts.get("RestartCount") or 0),
        restart_policy=(facts["HostConfig"].get("RestartPolicy") or {}).get("Name", ""),
        swarm=SWARM_LABEL in (config.get("Labels") or {}),
        health=health.get("Status", ""),
        checks=tuple(
            Check(read_time(entry.get("Start")), entry.get("ExitCode") == 0)
            for entry in health.get("Log") or ()
        ),
        check_within=_check_within(check) if health else 0.0,
    )


def _check_within(check: Mapping[str, Any]) -> float:
    """Interval and timeout in seconds; Docker keeps nanoseconds, and 0 for its default, 30 s."""
    return sum((check.get(key) or 30e9) / 1e9 for key in ("Interval", "Timeout"))


def read_time(text: str | None) -> float:
    """Seconds since the epoch; 0 for Docker's "never", which is the year 1."""
    if not text or text.startswith("0001-"):
        return 0.0
    return datetime.fromisoformat(text).timestamp()
