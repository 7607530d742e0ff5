"""A stack of scripted services with the real monitor and restarter, in containers."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.models.containers import Container
from docker.types import Mount

SCRIPT = Path(__file__).parents[2] / "doubles" / "scripted_service.py"
SOCKET = "/var/run/docker.sock"
WAIT_LIMIT = 180.0
"""Seconds. Much more than anything takes: a busy machine is not a failure."""

Found = TypeVar("Found")

HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": "size=64m,noexec"},
    "init": True,
    "pids_limit": 128,
    "memswap_limit": "128m",
    "mem_limit": "128m",
}

# As in production, but some twenty times as fast.
THRESHOLDS = {
    "fail_after": 3,
    "recover_after": 2,
    "retry_interval": 0.5,
    "stall_after": 4,
    "canary_every": 2,
    "flap_changes": 20,
}
RESTARTS = {
    "url": "http://restarter:8070",
    "backoff": 1,
    "backoff_max": 4,
    "limit": 3,
    "window": 600,
    "stable_after": 30,
}


@dataclass(frozen=True)
class ServiceSpec:
    """A scripted service, and its entry in monitor.json."""

    kind: str = "inference"
    policy: str = "no"
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    checked_by_docker: bool = False
    after_monitor: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)


class Rig:
    """Starts and stops everything, and reads what the monitor reports."""

    def __init__(
        self, engine: docker.DockerClient, images: Mapping[str, str], folder: Path
    ) -> None:
        self.engine = engine
        self.images = images
        self.folder = folder
        self.stack = f"chaos-{secrets.token_hex(4)}"
        self.containers: dict[str, Container] = {}
        self.labels = {"llm-stack.stack": self.stack}
        self.token = secrets.token_hex(32)
        self.monitor_environment: dict[str, str] = {}
        self.monitor_settings: dict[str, Any] = {}
        """More keys of monitor.json."""
        self.config_files: dict[str, str] = {}
        """More files in /run/config, by name."""

    def start(
        self,
        specs: Mapping[str, ServiceSpec],
        *,
        socket: bool = True,
        sink: bool = False,
        thresholds: Mapping[str, float] | None = None,
    ) -> Rig:
        self.network = self.engine.networks.create(
            self.stack, driver="bridge", internal=False, labels=self.labels
        )
        self.private = self.engine.networks.create(
            f"{self.stack}-restarter", driver="bridge", internal=True, labels=self.labels
        )
        self.volume = self.engine.volumes.create(f"{self.stack}-state", labels=self.labels)
        self._write_files(specs, sink, thresholds)
        self.start_restarter(socket=socket)
        for name, spec in specs.items():
            if not spec.after_monitor:
                self.containers[name] = self._start_service(name, spec)
        if sink:
            self.containers["sink"] = self._start_service("sink", ServiceSpec(kind="http"))
        self.start_monitor()
        for name, spec in specs.items():
            if spec.after_monitor:
                self.containers[name] = self._start_service(name, spec)
        return self

    def _write_files(
        self,
        specs: Mapping[str, ServiceSpec],
        sink: bool,
        thresholds: Mapping[str, float] | None,
    ) -> None:
        services = [self._entry(name, spec) for name, spec in specs.items()]
        hook = {"name": "sink", "format": "generic", "url_file": "/run/secrets/hook"}
        alerts: dict[str, Any] = {"group_wait": 0.2}
        monitor = {
            "stack": self.stack,
            "interval": 1,
            "services": services,
            "thresholds": THRESHOLDS | dict(thresholds or {}),
            "restarts": RESTARTS,
            "internal": {"check_timeout": 3, "hold_retry": 3},
            "alerts": alerts | ({"webhooks": [hook]} if sink else {}),
            **self.monitor_settings,
        }
        restarter = {"stack": self.stack, "services": list(specs), "min_gap": 0}
        for folder, files in {
            "config": {
                "monitor.json": json.dumps(monitor),
                "restarter.json": json.dumps(restarter),
                **self.config_files,
            },
            "secrets": {"restarter_token": self.token, "hook": "http://sink:8000/webhook"},
        }.items():
            (self.folder / folder).mkdir()
            for name, text in files.items():
                (self.folder / folder / name).write_text(text)

    def _entry(self, name: str, spec: ServiceSpec) -> dict[str, Any]:
        url = f"http://{name}:8000" + ("/health" if spec.kind == "http" else "")
        entry = {"name": name, "kind": spec.kind, "url": url, "start_grace": 5}
        return entry | dict(spec.config)

    def _start_service(self, name: str, spec: ServiceSpec) -> Container:
        second = 1_000_000_000
        check = {
            "test": ["CMD", "python3", "/scripted_service.py", "check"],
            "interval": second,
            "timeout": 5 * second,
            "retries": 3,
        }
        container: Container = self.engine.containers.create(
            "python:3.11-slim",
            ["python3", "-u", "/scripted_service.py"],
            name=f"{self.stack}-{name}",
            labels=self.labels | {"llm-stack.service": name},
            environment=dict(spec.environment),
            mounts=[Mount("/scripted_service.py", str(SCRIPT), type="bind", read_only=True)],
            network=self.network.name,
            healthcheck=check if spec.checked_by_docker else None,
            stop_signal="SIGTERM",
            **{
                "restart_policy": {"Name": spec.policy},
                "mem_limit": "64m",
                "memswap_limit": "64m",
                **spec.options,
            },
        )
        self.join(container, name)
        container.start()
        return container

    def join(self, container: Container, alias: str) -> None:
        """Connect a container to the network of the services, under a name."""
        self.network.disconnect(container)
        self.network.connect(container, aliases=[alias])

    def start_restarter(self, *, socket: bool = True) -> None:
        group = os.stat(SOCKET).st_gid
        mounts = [self._files("config"), self._files("secrets")]
        if socket:
            mounts.append(Mount(SOCKET, SOCKET, type="bind"))
        self.restarter = self.engine.containers.create(
            self.images["restarter"],
            name=f"{self.stack}-restarter",
            labels=self.labels,
            group_add=[str(group)],
            mounts=mounts,
            network=self.private.name,
            **HARDENED,
        )
        self.private.disconnect(self.restarter)
        self.private.connect(self.restarter, aliases=["restarter"])
        self.restarter.start()

    def start_monitor(self) -> None:
        self.monitor = self.engine.containers.create(
            self.images["monitor"],
            name=f"{self.stack}-monitor",
            labels=self.labels,
            environment=self.monitor_environment,
            mounts=[
                self._files("config"),
                self._files("secrets"),
                Mount("/var/lib/monitor", self.volume.name, type="volume"),
            ],
            network=self.network.name,
            **HARDENED,
        )
        self.private.connect(self.monitor)
        self.monitor.start()

    def _files(self, folder: str) -> Mount:
        return Mount(f"/run/{folder}", str(self.folder / folder), type="bind", read_only=True)

    def remove(self) -> None:
        """Remove everything, in whatever state it is."""
        mine: dict[str, Any] = {"label": f"llm-stack.stack={self.stack}"}
        for container in self.engine.containers.list(all=True, filters=mine):
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        for volume in self.engine.volumes.list(filters=mine):
            volume.remove(force=True)
        for network in self.engine.networks.list(filters=mine):
            network.remove()

    # Faults.

    def behave(self, name: str, mode: str) -> float:
        """Change the behaviour of a service; returns the time of the change."""
        address = self.ip_address(self.containers[name], self.network.name)
        body = json.dumps({"mode": mode}).encode()
        now = time.time()
        urllib.request.urlopen(f"http://{address}:8000/behave", body, timeout=30).close()
        return now

    def kill_process(self, name: str) -> float:
        """kill -9 of the main process: a crash for Docker, unlike `docker kill`."""
        self.containers[name].reload()
        now = time.time()
        os.kill(self.containers[name].attrs["State"]["Pid"], signal.SIGKILL)
        return now

    def cut(self, name: str) -> float:
        self.network.disconnect(self.containers[name])
        return time.time()

    def reconnect(self, name: str) -> float:
        self.network.connect(self.containers[name], aliases=[name])
        return time.time()

    # Observations.

    def ip_address(self, container: Container, network: str | None) -> str:
        container.reload()
        address: str = container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
        return address

    def get(self, path: str) -> bytes:
        """GET a path of the monitor."""
        address = self.ip_address(self.monitor, self.network.name)
        with urllib.request.urlopen(f"http://{address}:8090{path}", timeout=30) as response:
            body: bytes = response.read()
            return body

    def state(self, name: str) -> dict[str, Any]:
        """A service in the monitor's API."""
        found: dict[str, Any] = json.loads(self.get(f"/api/v1/services/{name}"))
        return found

    def log_lines(self, name: str, container: Container | None = None) -> list[dict[str, Any]]:
        """The lines that the monitor logged about a service."""
        return [line for line in lines(container or self.monitor) if line.get("service") == name]

    def wait_for_line(self, name: str, message: str, after: float = 0.0) -> dict[str, Any]:
        """Wait for a line that the monitor logs about a service."""

        def find() -> dict[str, Any] | None:
            for line in self.log_lines(name):
                if line["message"] == message and at(line) >= after:
                    return line
            return None

        return wait_for(find, lambda: f"{name}: no line {message!r}: {self.log_lines(name)}")

    def becomes(self, name: str, state: str) -> dict[str, Any]:
        """Wait until the monitor reports a service in a state."""

        def find() -> dict[str, Any] | None:
            with contextlib.suppress(OSError, KeyError):
                found = self.state(name)
                return found if found["state"] == state else None
            return None

        return wait_for(find, lambda: f"{name} is not {state}: {self.log_lines(name)}")

    def started_at(self, name: str) -> str:
        self.containers[name].reload()
        started: str = self.containers[name].attrs["State"]["StartedAt"]
        return started

    def restarts(self, name: str, since: float = 0.0) -> int:
        """Restarts that the restarter carried out."""
        return sum(
            line.get("outcome") == "restarted" and at(line) >= since
            for line in self.log_lines(name, self.restarter)
        )

    def monitoring_since(self) -> float:
        """When the monitor started."""
        return next(
            at(line) for line in lines(self.monitor) if line["message"] == "monitor started"
        )

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that the webhook has received."""
        address = self.ip_address(self.containers["sink"], self.network.name)
        with urllib.request.urlopen(f"http://{address}:8000/messages", timeout=30) as response:
            return [alert for message in json.load(response) for alert in message["alerts"]]


def lines(container: Container) -> list[dict[str, Any]]:
    """The JSON lines that a container logged."""
    found: Iterable[str] = container.logs().decode().splitlines()
    return [json.loads(line) for line in found if line.startswith("{")]


def run_in(container: Container, *words: str) -> tuple[int | None, str]:
    """Run a command in a container; returns its exit code and its output."""
    code, output = container.exec_run(list(words))
    assert isinstance(output, bytes)
    return code, output.decode()


def at(line: Mapping[str, Any]) -> float:
    """When a line was logged, in seconds since the epoch."""
    return datetime.fromisoformat(line["time"]).timestamp()


def wait_for(
    find: Callable[[], Found | None], complaint: Callable[[], str], limit: float = WAIT_LIMIT
) -> Found:
    """Poll until there is a result."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if (found := find()) is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(complaint())
