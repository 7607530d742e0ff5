"""Docker Engine: found, started or installed."""

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

from toolchain.commands.steps import Finding
from toolchain.project import Project
from toolchain.setup import debian
from toolchain.setup.engine_checks import AskEngine, Verdict, ask_engine, version
from toolchain.setup.image_store import installed_version, set_classic_store
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import ask, follow
from toolchain.terminal.progress import Step

START_SECONDS = 60
PACKAGES = ("docker.io", "iptables", "ca-certificates")
# Where an engine keeps its images and volumes.
ENGINE_DATA = Path("/var/lib/docker")


class Action(StrEnum):
    """What there is to do about the engine."""

    NONE = "none"
    START_SERVICE = "starting it with systemctl"
    START_BY_HAND = "starting dockerd by hand, as no service manager runs here"
    INSTALL = "installing and starting it"
    EXPLAIN = "it does not answer"


@dataclass(frozen=True)
class Facts:
    """What was seen of the engine and of the machine."""

    version: str | None
    """Of the engine that answers, if one does."""
    refused: bool
    """It is there, but this person may not talk to it."""
    client: bool
    daemon: bool
    systemd: bool
    root: bool
    debian: bool
    linux: bool
    remote: str | None
    """DOCKER_HOST, where that is not a socket of this machine."""


def decide(facts: Facts) -> Action:
    """What to do; `EXPLAIN` where only a person can act."""
    if facts.version:
        return Action.NONE
    if facts.remote or facts.refused or not facts.linux:
        return Action.EXPLAIN
    if facts.daemon and facts.client:
        if facts.systemd:
            return Action.START_SERVICE
        return Action.START_BY_HAND if facts.root else Action.EXPLAIN
    return Action.INSTALL if facts.debian else Action.EXPLAIN


def explain(facts: Facts) -> str:
    """What a person has to do where this program cannot."""
    if facts.remote:
        return f"No Docker Engine answers at {facts.remote}, which DOCKER_HOST names."
    if facts.refused:
        return (
            "Docker Engine runs, but you may not use its socket. Either run this as root, or add "
            "yourself to the group docker (sudo usermod -aG docker $USER) and log in again."
        )
    if not facts.linux:
        return "Docker Engine does not answer. Start Docker Desktop, then run this again."
    if facts.daemon:
        return "Docker Engine is installed but does not run. Start it as root: dockerd"
    return (
        "Docker Engine is missing. How to install it here: https://docs.docker.com/engine/install/"
    )


class DockerEngine:
    """The engine that `docker` talks to."""

    title = "Docker Engine"

    def __init__(
        self,
        project: Project,
        look: Callable[[], Facts] | None = None,
        ask_engine: AskEngine = ask_engine,
    ) -> None:
        self._log = project.step_logs / "docker-engine.log"
        # The engine belongs to the machine, not to this checkout.
        self._daemon_log = Path("/var/log/dockerd-of-llm-stack.log")
        self._look = look or observe
        self._ask_engine = ask_engine

    def find(self) -> Finding:
        facts = self._look()
        action = decide(facts)
        if action is Action.NONE:
            return Finding(True, f"version {facts.version} answers")
        return Finding(False, explain(facts) if action is Action.EXPLAIN else action.value)

    def make(self, step: Step) -> str:
        facts = self._look()
        action = decide(facts)
        if action is Action.EXPLAIN:
            raise SetupError(explain(facts))
        if action is Action.INSTALL:
            self._install(facts, step)
            # The package starts the service itself where there is a service manager.
            action = Action.START_SERVICE if facts.systemd else Action.START_BY_HAND
            if self._look().version:
                action = Action.NONE
        if action is Action.START_SERVICE:
            self._systemctl("start", facts)
            self._wait(step, daemon=None)
        elif action is Action.START_BY_HAND:
            self._wait(step, daemon=self._start_daemon())
        if decide(facts) is Action.INSTALL:
            self._warn_of_the_version(step)
        return f"version {self._look().version} answers"

    def _install(self, facts: Facts, step: Step) -> None:
        """Install the distribution's package, with the image store that builds need."""
        # What an earlier installation left there may be in the other store.
        new = not ENGINE_DATA.exists()
        debian.install(PACKAGES, purpose="Docker Engine", log=self._log, step=step)
        if (
            new
            and set_classic_store(self._log, root=facts.root, engine_version=installed_version())
            and facts.systemd
        ):
            # The package has started it, with its own default.
            self._systemctl("restart", facts)

    def _warn_of_the_version(self, step: Step) -> None:
        """A person who did not choose this engine may not expect what its age implies."""
        info = self._ask_engine()
        if info and (check := version(info)).verdict is Verdict.WARNING:
            step.say(f"warning: {check.title}: {check.what}.")

    def _systemctl(self, verb: str, facts: Facts) -> None:
        sudo = [] if facts.root else ["sudo"]
        follow([*sudo, "systemctl", verb, "docker"], log=self._log)

    def _start_daemon(self) -> subprocess.Popen[bytes]:
        # It outlives this program, and its terminal's Ctrl-C.
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
            if self._look().version:
                return
            if daemon and daemon.poll() is not None:
                raise SetupError(f"dockerd ended at once:\n{self._daemon_tail()}")
            step.note("waiting for it to answer")
            time.sleep(0.5)
        raise SetupError(
            f"Docker Engine did not answer within {START_SECONDS} s.\n"
            + (self._daemon_tail() if daemon else "See: journalctl -u docker")
        )

    def _daemon_tail(self) -> str:
        lines = self._daemon_log.read_text(encoding="utf-8", errors="replace").splitlines()
        shown = "".join(f"    {line}\n" for line in lines[-15:])
        return f"{shown}All of its output is in {self._daemon_log}."


def observe() -> Facts:
    """Look at this machine."""
    answer = ask(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    host = os.environ.get("DOCKER_HOST", "")
    return Facts(
        version=answer.out.strip() or None if answer.ok else None,
        refused="permission denied" in answer.err.lower(),
        client=shutil.which("docker") is not None,
        daemon=shutil.which("dockerd") is not None,
        systemd=Path("/run/systemd/system").is_dir(),
        root=debian.is_root(),
        debian=debian.here(),
        linux=sys.platform == "linux",
        remote=host if host and not host.startswith("unix://") else None,
    )
