"""Finds, starts or installs Docker Engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from toolchain.project import Project
from toolchain.setup import debian
from toolchain.setup.engine_checks import ReadInfo, Verdict, read_engine_info, version
from toolchain.setup.image_store import installed_version, set_classic_store
from toolchain.steps import Finding
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture, follow
from toolchain.terminal.progress import Step

START_SECONDS = 60
PACKAGES = ("docker.io", "iptables", "ca-certificates")
# The data folder of an engine: images and volumes.
ENGINE_DATA = Path("/var/lib/docker")


class Action(StrEnum):
    """What the setup does about the engine."""

    NONE = "none"
    START_SERVICE = "starting it with systemctl"
    START_DAEMON = "starting dockerd directly: this machine does not run systemd"
    INSTALL = "installing and starting it"
    EXPLAIN = "it does not respond"


@dataclass(frozen=True)
class Facts:
    """The state of the engine and of this machine."""

    version: str | None
    """Version of the running engine; None if no engine responds."""
    refused: bool
    """The engine runs, but the user has no permission for its socket."""
    client: bool
    daemon: bool
    systemd: bool
    root: bool
    debian: bool
    linux: bool
    remote: str | None
    """DOCKER_HOST, unless it is a socket of this machine."""


def decide(facts: Facts) -> Action:
    """What to do; `EXPLAIN` if only the user can fix it."""
    if facts.version:
        return Action.NONE
    if facts.remote or facts.refused or not facts.linux:
        return Action.EXPLAIN
    if facts.daemon and facts.client:
        if facts.systemd:
            return Action.START_SERVICE
        return Action.START_DAEMON if facts.root else Action.EXPLAIN
    return Action.INSTALL if facts.debian else Action.EXPLAIN


def explain(facts: Facts) -> str:
    """What the user has to do."""
    if facts.remote:
        return f"Docker Engine at {facts.remote} (DOCKER_HOST) does not respond."
    if facts.refused:
        return (
            "Docker Engine runs, but you have no permission for its socket. Run this as root, or "
            "add yourself to the group docker (sudo usermod -aG docker $USER) and log in again."
        )
    if not facts.linux:
        return "Docker Engine does not respond. Start Docker Desktop, then run this command again."
    if facts.daemon:
        return "Docker Engine is installed but does not run. Start it as root: dockerd"
    return "Docker Engine is not installed. Instructions: https://docs.docker.com/engine/install/"


class DockerEngine:
    """The engine that the `docker` client uses."""

    title = "Docker Engine"

    def __init__(
        self,
        project: Project,
        read_facts: Callable[[], Facts] | None = None,
        read_engine_info: ReadInfo = read_engine_info,
    ) -> None:
        self._log = project.step_logs / "docker-engine.log"
        # Not in the checkout: the engine is shared by all checkouts.
        self._daemon_log = Path("/var/log/dockerd-of-llm-stack.log")
        self._read_facts = read_facts or read_facts_of_machine
        self._read_engine_info = read_engine_info

    def find(self) -> Finding:
        facts = self._read_facts()
        action = decide(facts)
        if action is Action.NONE:
            return Finding(True, f"version {facts.version} is running")
        return Finding(False, explain(facts) if action is Action.EXPLAIN else action.value)

    def make(self, step: Step) -> str:
        facts = self._read_facts()
        action = decide(facts)
        if action is Action.EXPLAIN:
            raise SetupError(explain(facts))
        if action is Action.INSTALL:
            self._install(facts, step)
            # With systemd, the package starts the service.
            action = Action.START_SERVICE if facts.systemd else Action.START_DAEMON
            if self._read_facts().version:
                action = Action.NONE
        if action is Action.START_SERVICE:
            self._systemctl("start", facts)
            self._wait(step, daemon=None)
        elif action is Action.START_DAEMON:
            self._wait(step, daemon=self._start_daemon())
        if decide(facts) is Action.INSTALL:
            self._warn_of_the_version(step)
        return f"version {self._read_facts().version} is running"

    def _install(self, facts: Facts, step: Step) -> None:
        """Install the distribution's package, with the classic image store."""
        # An earlier installation may have content in the other store.
        new = not ENGINE_DATA.exists()
        debian.install(PACKAGES, purpose="Docker Engine", log=self._log, step=step)
        if (
            new
            and set_classic_store(self._log, root=facts.root, engine_version=installed_version())
            and facts.systemd
        ):
            # The package started it with its default store.
            self._systemctl("restart", facts)

    def _warn_of_the_version(self, step: Step) -> None:
        """Print the warning of an old version, which the distribution chose and not the user."""
        info = self._read_engine_info()
        if info and (check := version(info)).verdict is Verdict.WARNING:
            step.print(f"warning: {check.title}: {check.what}.")

    def _systemctl(self, verb: str, facts: Facts) -> None:
        sudo = [] if facts.root else ["sudo"]
        follow([*sudo, "systemctl", verb, "docker"], log=self._log)

    def _start_daemon(self) -> subprocess.Popen[bytes]:
        # A new session: dockerd must survive this program and Ctrl-C in its terminal.
        with self._daemon_log.open("ab") as log:
            return subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def _wait(self, step: Step, daemon: subprocess.Popen[bytes] | None) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._read_facts().version:
                return
            if daemon and daemon.poll() is not None:
                raise SetupError(f"dockerd exited:\n{self._daemon_tail()}")
            step.note("waiting for it to respond")
            time.sleep(0.5)
        raise SetupError(
            f"Docker Engine did not respond within {START_SECONDS} s.\n"
            + (self._daemon_tail() if daemon else "See: journalctl -u docker")
        )

    def _daemon_tail(self) -> str:
        lines = self._daemon_log.read_text(encoding="utf-8", errors="replace").splitlines()
        shown = "".join(f"    {line}\n" for line in lines[-15:])
        return f"{shown}The full output is in {self._daemon_log}."


def read_facts_of_machine() -> Facts:
    """Read the state of this machine."""
    result = capture(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    host = os.environ.get("DOCKER_HOST", "")
    return Facts(
        version=result.out.strip() or None if result.ok else None,
        refused="permission denied" in result.err.lower(),
        client=shutil.which("docker") is not None,
        daemon=shutil.which("dockerd") is not None,
        systemd=Path("/run/systemd/system").is_dir(),
        root=debian.is_root(),
        debian=debian.here(),
        linux=sys.platform == "linux",
        remote=host if host and not host.startswith("unix://") else None,
    )
