"""Client of the Docker Engine API: lists and inspects the containers of a service, restarts one.

Paths carry no API version, so that Docker of any age uses its own.
Source of the field names: Docker Engine API, ContainerList, ContainerInspect, ContainerRestart.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
import urllib.parse
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from app.restarter.containers import Check, Container

STACK_LABEL = "llm-stack.stack"
SERVICE_LABEL = "llm-stack.service"
SWARM_LABEL = "com.docker.swarm.task.id"

CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
PING_SECONDS = 3.0
REQUEST_SECONDS = 10.0
# Docker waits for the container's own stop timeout, which may be minutes.
RESTART_SECONDS = 600.0
STALE_SECONDS = 60.0
"""How long the socket refuses connections before a new one is needed: an engine starts sooner."""
LARGEST_RESPONSE_BYTES = 8 * 1024 * 1024


class EngineError(Exception):
    """Docker cannot be reached, or returned an error."""


class StaleSocket(Exception):
    """The socket belongs to an engine that has ended.

    With `live-restore` containers outlive the engine. The next one listens on a new socket, which
    a container has only after a start: its mount is of the file, not of the path.
    """


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host and port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The Docker engine behind a socket; each request opens a new connection."""

    def __init__(
        self, docker_socket: str, steady_clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._socket = docker_socket
        self._clock = steady_clock
        self._refused_since: float | None = None

    def check_socket(self) -> None:
        """Raise StaleSocket if nothing has listened on the socket for a while."""
        since = self._refused_since
        if since is not None and self._clock() - since > STALE_SECONDS:
            raise StaleSocket

    def ping(self) -> None:
        """Check that Docker answers; raises EngineError."""
        self._request("GET", "/_ping", timeout=PING_SECONDS)

    def containers(self, stack: str, service: str) -> list[Container]:
        """The containers of a service, running or not; raises EngineError."""
        labels = {STACK_LABEL: stack, SERVICE_LABEL: service}
        filters = {"label": [f"{key}={value}" for key, value in labels.items()]}
        query = urllib.parse.urlencode({"all": "1", "filters": json.dumps(filters)})
        found = []
        for entry in json.loads(self._request("GET", f"/containers/json?{query}")):
            details = self._inspect(entry.get("Id", ""))
            # Check the labels again: a restart must not depend on Docker's filter alone.
            if details and labels.items() <= (details["Config"].get("Labels") or {}).items():
                found.append(read_container(details))
        return found

    def _inspect(self, container_id: str) -> Any:
        if not CONTAINER_ID.fullmatch(container_id):
            raise EngineError("Docker listed a container without a valid id")
        try:
            return json.loads(self._request("GET", f"/containers/{container_id}/json"))
        except FileNotFoundError:
            return None

    def restart(self, container: Container, stop_seconds: int | None = None) -> None:
        """Restart a container and wait for its start; raises EngineError, FileNotFoundError.

        :param stop_seconds: until SIGKILL; None for the container's own stop timeout.
        """
        query = "" if stop_seconds is None else f"?t={stop_seconds}"
        path = f"/containers/{container.id}/restart{query}"
        self._request("POST", path, timeout=RESTART_SECONDS)

    def _request(self, method: str, path: str, timeout: float = REQUEST_SECONDS) -> bytes:
        connection = _SocketConnection(self._socket, timeout)
        try:
            connection.connect()
            self._refused_since = None
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read(LARGEST_RESPONSE_BYTES)
        except ConnectionRefusedError as error:
            if self._refused_since is None:
                self._refused_since = self._clock()
            raise EngineError(f"cannot reach Docker: {error}") from None
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"cannot reach Docker: {error}") from None
        finally:
            connection.close()
        if response.status == 404:
            raise FileNotFoundError(path)
        if response.status >= 300:
            raise EngineError(f"Docker returned an error: {_message(body)}")
        return body


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")


def read_container(details: Mapping[str, Any]) -> Container:
    """The fields that matter here of a ContainerInspect response."""
    state, config = details["State"], details["Config"]
    health = state.get("Health") or {}
    check = config.get("Healthcheck") or {}
    return Container(
        id=details["Id"],
        name=str(details.get("Name", "")).lstrip("/"),
        status=state["Status"],
        started_at=read_time(state.get("StartedAt")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        restart_count=int(details.get("RestartCount") or 0),
        restart_policy=(details["HostConfig"].get("RestartPolicy") or {}).get("Name", ""),
        swarm=SWARM_LABEL in (config.get("Labels") or {}),
        health=health.get("Status", ""),
        checks=tuple(
            Check(read_time(entry.get("Start")), entry.get("ExitCode") == 0)
            for entry in health.get("Log") or ()
        ),
        check_seconds=_check_seconds(check) if health else 0.0,
    )


def _check_seconds(check: Mapping[str, Any]) -> float:
    """Interval plus timeout. Docker stores nanoseconds, and 0 for its default of 30 s."""
    return sum((check.get(key) or 30e9) / 1e9 for key in ("Interval", "Timeout"))


def read_time(text: str | None) -> float:
    """Seconds since the epoch; 0 for "never", which Docker writes as a time in year 1."""
    if not text or text.startswith("0001-"):
        return 0.0
    return datetime.fromisoformat(text).timestamp()
