"""The dev stack: what pulumi is asked to do with it, and how an interrupted run is mended."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolchain.project import DEV_STACK, NAME, Project
from toolchain.stack import containers, model_hub
from toolchain.stack.build_logs import BuildLogTail
from toolchain.stack.machine_settings import MachineSettings, look
from toolchain.stack.pulumi_command import PulumiCommand
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Progress, Step

CONTAINER = "docker:index/container:Container"
# What to ask docker about, and only what nothing is lost with.
KINDS = {
    CONTAINER: "container",
    "docker:index/network:Network": "network",
    "docker:index/volume:Volume": "volume",
}


KEPT = (
    "What was built is kept: run ./dev up again, and it continues where it stopped. "
    "All of the output is in logs/<image>.log and .state/logs/pulumi.log."
)


@dataclass(frozen=True)
class StackState:
    """What pulumi believes to exist."""

    container_ids: frozenset[str]
    interrupted: bool
    """Something was under way when a run was cut off."""
    half_made: tuple[tuple[str, str], ...]
    """Kind and name of what may exist, though pulumi never heard that it does."""

    @classmethod
    def from_export(cls, export: dict[str, Any]) -> StackState:
        """From what `pulumi stack export` prints."""
        deployment = export.get("deployment") or {}
        pending = deployment.get("pending_operations") or []
        return cls(
            container_ids=frozenset(
                resource["id"]
                for resource in deployment.get("resources") or []
                if resource["type"] == CONTAINER and resource.get("id")
            ),
            interrupted=bool(pending),
            half_made=tuple(
                (KINDS[resource["type"]], resource["inputs"]["name"])
                for operation in pending
                if operation["type"] == "creating"
                and (resource := operation["resource"])["type"] in KINDS
                # A volume of models has one name for ever, and may be full.
                and not resource.get("retainOnDelete")
            ),
        )


@dataclass(frozen=True)
class Lock:
    """Says that a pulumi of this process and host works on the stack."""

    path: Path
    pid: int
    hostname: str

    @classmethod
    def read(cls, path: Path) -> Lock:
        """A lock file of Pulumi's file backend."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(path, pid=int(content["pid"]), hostname=str(content["hostname"]))


def abandoned(lock: Lock, hostname: str | None = None) -> bool:
    """Whether the process behind a lock is gone; one of another host cannot be known."""
    if lock.hostname != (hostname or socket.gethostname()):
        return False
    try:
        os.kill(lock.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class DevStack:
    """The stack `dev` of one checkout."""

    def __init__(self, project: Project, progress: Progress) -> None:
        self._project = project
        self._progress = progress
        self._pulumi = PulumiCommand(project, progress, DEV_STACK)
        self._created = False

    def select(self, step: Step) -> None:
        """Make `dev` the stack of plain pulumi commands here, and create it where it is new."""
        self._release_abandoned_lock(step)
        answer = self._pulumi.ask("stack", "select", DEV_STACK, "--create")
        if not answer.ok:
            raise SetupError(f"pulumi cannot select the stack {DEV_STACK}:\n{answer.err.strip()}")
        self._created = "created stack" in (answer.out + answer.err).lower()
        if self._created:
            step.done("created")
        else:
            step.already("selected")

    def adapt(self, step: Step) -> None:
        """Give the stack the settings that this machine needs; raises `SetupError`."""
        settings = MachineSettings(self._project, partial(self._pulumi.must, "config"))
        hub = settings.configured(f"{NAME}:modelHub") or model_hub.endpoint()
        step.note(f"asking {hub} and ghcr.io")
        if self._created:
            settings.use_proxy_of_shell(step)
        settings.adapt(look(hub), hub, step)
        step.already("the stack has what this machine needs")

    def up(self) -> None:
        """Run `pulumi up`, showing what it and the builds print; raises `SetupError`."""
        refresh = self._mend()
        options = ["--yes", "--skip-preview", *(["--refresh"] if refresh else [])]
        with BuildLogTail(self._project.build_logs, self._progress.say):
            try:
                self._pulumi.run("up", *options)
            except SetupError as error:
                raise SetupError(f"{error}\n{KEPT}") from None

    def destroy(self) -> None:
        """Run `pulumi destroy`; raises `SetupError`."""
        self._mend()
        self._pulumi.run("destroy", "--yes", "--skip-preview", "--refresh")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        outputs: dict[str, Any] = json.loads(self._pulumi.must("stack", "output", "--json").out)
        return outputs

    def containers(self) -> list[containers.Container]:
        """Those of this checkout; another one on this engine may have a stack of the same name."""
        known = self._state().container_ids
        return [one for one in containers.list_containers() if one.id in known]

    @property
    def exists(self) -> bool:
        """Whether the stack was ever created."""
        return self._pulumi.ask("stack", "export", "--stack", DEV_STACK).ok

    def _mend(self) -> bool:
        """Clear what a cut-off run left; whether the state must be refreshed against the engine."""
        state = self._state()
        if state.interrupted:
            self._progress.say("      The last run was cut off; mending what it left.")
            for kind, name in state.half_made:
                if containers.remove(kind, name):
                    self._progress.say(f"      removed {name}, which was not finished")
            self._pulumi.run("refresh", "--yes", "--clear-pending-creates", "--skip-preview")
            return False
        present = {container.id for container in containers.list_containers()}
        return not state.container_ids <= present

    def _state(self) -> StackState:
        return StackState.from_export(self._pulumi.export())

    def _release_abandoned_lock(self, step: Step) -> None:
        folder = self._project.pulumi_state / ".pulumi" / "locks"
        locks = [Lock.read(path) for path in folder.rglob("*.json")]
        if locks and all(abandoned(lock) for lock in locks):
            step.say("Releasing the lock of a pulumi that is gone.")
            self._pulumi.must("cancel", "--yes")
