"""What Pulumi's state has of this stack before the update: resources, and interrupted creations.

A program has no access to its own state. `pulumi stack export` takes 0.2 s, needs no lock and no
passphrase, and runs beside the other checks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from components.engine.lists import Kind

EXPORT_SECONDS = 30
KINDS = {
    "docker:index/container:Container": Kind.CONTAINER,
    "docker:index/network:Network": Kind.NETWORK,
    "docker:index/volume:Volume": Kind.VOLUME,
    "docker:index/service:Service": Kind.SERVICE,
    "docker:index/remoteImage:RemoteImage": Kind.IMAGE,
}
STASH = "pulumi:index:Stash"
# The ends of the names of gates that have written to a volume (components/runtime/docker).
OWNER, KEPT = "-owner", "-kept"
# The gate that has named the images of the version that serves (components/images).
VERSIONS = "versions"


@dataclass(frozen=True, eq=False)
class StateResource:
    """A container, network, volume, image or Swarm service in the state."""

    kind: Kind
    resource: str
    """Its name in the program."""
    name: str
    """Its name on the engine."""
    id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    served: bool = False
    """Whether a container has passed its health gate, and is not to end by itself."""
    trigger: str | None = None
    """Another one replaces the resource."""
    leaves: bool = False
    """Whether an earlier update replaced it without removing it so far."""

    @property
    def is_carrier(self) -> bool:
        """Whether it is a container that is never started, and has filled a volume."""
        return self.kind is Kind.CONTAINER and self.inputs.get("start") is False

    @property
    def networks(self) -> frozenset[str]:
        """The names of those that a container is to join."""
        # An encrypted list is a text.
        joined = self.inputs.get("networksAdvanced")
        rows = joined if isinstance(joined, list) else ()
        return frozenset(str(row.get("name")) for row in rows)

    @property
    def has_random_name(self) -> bool:
        """Not so a volume that outlives its stack: another update finds it by its name."""
        return re.fullmatch(rf"{re.escape(self.resource)}-[0-9a-f]{{7}}", self.name) is not None

    @property
    def has_files(self) -> bool:
        """Whether it is a volume with the files of a configuration, which an update writes."""
        is_volume = self.kind is Kind.VOLUME and self.resource.endswith("-volume")
        return is_volume and self.has_random_name


@dataclass(frozen=True)
class WrittenVolume:
    """A gate that has written to a volume with a fixed name, which it writes to once."""

    gate: str
    """Its name in the program."""
    volume: str | None
    """None for the one with the generated secrets."""
    trigger: str | None


@dataclass(frozen=True)
class KeptImages:
    """The images of the version that serves, which have names for a rollback."""

    ids: frozenset[str]
    """Without those that are named by a registry's digest."""
    trigger: str | None


@dataclass(frozen=True)
class StackState:
    """The parts of a state that the checks need."""

    resources: tuple[StateResource, ...] = ()
    interrupted: tuple[StateResource, ...] = ()
    """Creations of which Pulumi has no result. While an update runs, its own are among them."""
    written: tuple[WrittenVolume, ...] = ()
    kept: KeptImages | None = None
    """None where the stack keeps no versions."""

    @property
    def on_swarm(self) -> bool:
        """Whether a Swarm runs it, whose nodes have the images."""
        return any(one.kind is Kind.SERVICE for one in self.resources)


class StateReader:
    """Runs `pulumi stack export` in the background."""

    def __init__(self, stack: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        program = _pulumi()
        if program is None:
            return
        name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
        self._process = subprocess.Popen(
            [program, "stack", "export", "--stack", name, "--non-interactive"],
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def result(self) -> StackState | None:
        """The state; None where it cannot be read, and nothing is compared with it."""
        if self._process is None:
            return None
        try:
            output, _ = self._process.communicate(timeout=EXPORT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return None
        try:
            return read_state(json.loads(output)) if self._process.returncode == 0 else None
        except ValueError:
            return None


def _pulumi() -> str | None:
    """The CLI: in PATH, or where `./dev install` puts it."""
    return shutil.which("pulumi") or shutil.which("pulumi", path=Path(".state/bin").absolute())


def read_state(exported: Mapping[str, Any]) -> StackState:
    """Read the output of `pulumi stack export`."""
    deployment = exported.get("deployment") or {}
    resources = deployment.get("resources") or ()
    passed = {one["inputs"].get("input") for one in resources if _is_gate(one)}
    pending = deployment.get("pending_operations") or ()
    return StackState(
        tuple(found for one in resources if (found := _resource(one, passed))),
        tuple(
            found
            for one in pending
            if one.get("type") == "creating" and (found := _resource(one["resource"], set()))
        ),
        tuple(write for one in resources if (write := _written(one))),
        next((_kept(one) for one in resources if _is_versions(one)), None),
    )


def _is_gate(one: Mapping[str, Any]) -> bool:
    is_gate = one.get("type") == STASH and one["urn"].endswith("-gate")
    return is_gate and isinstance((one.get("inputs") or {}).get("input"), str)


def _is_versions(one: Mapping[str, Any]) -> bool:
    return one.get("type") == STASH and str(one["urn"]).endswith(f"::{VERSIONS}")


def _kept(one: Mapping[str, Any]) -> KeptImages:
    value = (one.get("inputs") or {}).get("input")
    images = value.get("images") if isinstance(value, dict) else None
    references = images.values() if isinstance(images, dict) else ()
    ids = frozenset(str(one) for one in references if str(one).startswith("sha256:"))
    return KeptImages(ids, one.get("replacementTrigger"))


def _written(one: Mapping[str, Any]) -> WrittenVolume | None:
    if one.get("type") != STASH or not one["urn"].endswith((OWNER, KEPT)):
        return None
    gate, trigger = one["urn"].rpartition("::")[2], one.get("replacementTrigger")
    if gate.endswith(KEPT):
        return WrittenVolume(gate, None, trigger)
    value = (one.get("inputs") or {}).get("input")
    volume = value.get("volume") if isinstance(value, dict) else None
    return WrittenVolume(gate, str(volume), trigger) if volume else None


def _resource(one: Mapping[str, Any], passed: Collection[str]) -> StateResource | None:
    kind = KINDS.get(one.get("type", ""))
    inputs, outputs = one.get("inputs") or {}, one.get("outputs") or {}
    name = outputs.get("name") or inputs.get("name")
    if kind is None or not isinstance(name, str):
        return None
    labels = inputs.get("labels")
    return StateResource(
        kind,
        one["urn"].rpartition("::")[2],
        name,
        # The provider's own id of an image has its name as well.
        (outputs.get("imageId") if kind is Kind.IMAGE else one.get("id")) or "",
        # An encrypted list is a text, not pairs.
        {str(pair["label"]): str(pair.get("value")) for pair in labels}
        if isinstance(labels, list)
        else {},
        inputs,
        one.get("id") in passed and inputs.get("restart") != "no",
        one.get("replacementTrigger"),
        bool(one.get("delete")),
    )
