"""The dev stack: runs pulumi on it, and repairs its state after an interrupted run."""

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
from toolchain.stack.machine_settings import MachineSettings, probe_hosts
from toolchain.stack.pulumi_command import PulumiCommand
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Progress, Step

CONTAINER = "docker:index/container:Container"
# Resources that can be removed after an interrupted run without losing data.
KINDS = {
    CONTAINER: "container",
    "docker:index/network:Network": "network",
    "docker:index/volume:Volume": "volume",
}

KEPT = (
    "Finished steps are kept: run ./dev up again to continue. "
    "The full output is in logs/<image>.log and .state/logs/pulumi.log."
)


@dataclass(frozen=True)
class StackState:
    """The part of pulumi's state that a repair needs."""

    container_ids: frozenset[str]
    interrupted: bool
    """Whether the last run was interrupted during an operation."""
    unfinished: tuple[tuple[str, str], ...]
    """Kind and name of resources that may exist without being in the state."""

    @classmethod
    def from_export(cls, export: dict[str, Any]) -> StackState:
        """From the output of `pulumi stack export`."""
        deployment = export.get("deployment") or {}
        pending = deployment.get("pending_operations") or []
        return cls(
            container_ids=frozenset(
                resource["id"]
                for resource in deployment.get("resources") or []
                if resource["type"] == CONTAINER and resource.get("id")
            ),
            interrupted=bool(pending),
            unfinished=tuple(
                (KINDS[resource["type"]], resource["inputs"]["name"])
                for operation in pending
                if operation["type"] == "creating"
                and (resource := operation["resource"])["type"] in KINDS
                # A model volume has a fixed name and may contain data.
                and not resource.get("retainOnDelete")
            ),
        )


@dataclass(frozen=True)
class Lock:
    """A lock file of Pulumi's file backend: the process that uses the stack."""

    path: Path
    pid: int
    hostname: str

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Parse a lock file."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(path, pid=int(content["pid"]), hostname=str(content["hostname"]))


def abandoned(lock: Lock, hostname: str | None = None) -> bool:
    """Whether the process of a lock has ended; unknown, and False, for another host."""
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
        """Select `dev` for pulumi commands in this checkout; create it if it does not exist."""
        self._release_abandoned_lock(step)
        result = self._pulumi.capture("stack", "select", DEV_STACK, "--create")
        if not result.ok:
            raise SetupError(f"pulumi cannot select the stack {DEV_STACK}:\n{result.err.strip()}")
        self._created = "created stack" in (result.out + result.err).lower()
        if self._created:
            step.done("created")
        else:
            step.already("selected")

    def adapt(self, step: Step) -> None:
        """Set what the stack needs on this machine; raises `SetupError`."""
        settings = MachineSettings(self._project, partial(self._pulumi.must, "config"))
        hub = settings.configured(f"{NAME}:modelHub") or model_hub.endpoint()
        step.note(f"checking {hub} and ghcr.io")
        if self._created:
            settings.use_proxy_of_shell(step)
        settings.adapt(probe_hosts(hub), hub, step)
        step.already("up to date")

    def up(self) -> None:
        """Run `pulumi up` and show its output and that of builds; raises `SetupError`."""
        refresh = self._repair()
        options = ["--yes", "--skip-preview", *(["--refresh"] if refresh else [])]
        with BuildLogTail(self._project.build_logs, self._progress.print):
            try:
                self._pulumi.run("up", *options)
            except SetupError as error:
                raise SetupError(f"{error}\n{KEPT}") from None

    def destroy(self) -> None:
        """Run `pulumi destroy`; raises `SetupError`."""
        self._repair()
        self._pulumi.run("destroy", "--yes", "--skip-preview", "--refresh")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        outputs: dict[str, Any] = json.loads(self._pulumi.must("stack", "output", "--json").out)
        return outputs

    def containers(self) -> list[containers.Container]:
        """The containers of this checkout; another checkout may have a stack of the same name."""
        known = self._state().container_ids
        return [one for one in containers.list_containers() if one.id in known]

    @property
    def exists(self) -> bool:
        """Whether the stack exists."""
        return self._pulumi.capture("stack", "export", "--stack", DEV_STACK).ok

    def _repair(self) -> bool:
        """Clean up after an interrupted run; return whether `pulumi up` needs --refresh."""
        state = self._state()
        if state.interrupted:
            self._progress.print("      The last run was interrupted; repairing the state.")
            for kind, name in state.unfinished:
                if containers.remove(kind, name):
                    self._progress.print(f"      removed the unfinished {kind} {name}")
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
            step.print("Releasing the lock of a pulumi process that has ended.")
            self._pulumi.must("cancel", "--yes")
