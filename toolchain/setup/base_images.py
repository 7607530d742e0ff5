"""The base images of the project's Dockerfiles."""

from __future__ import annotations

import json
from collections.abc import Mapping

from toolchain.project import SUBSTITUTE_LABEL, Project
from toolchain.setup import fallback
from toolchain.stack import reachability
from toolchain.steps import Finding
from toolchain.terminal.processes import capture, follow
from toolchain.terminal.progress import Step

REGISTRY = "https://registry-1.docker.io/v2/"


class BaseImage:
    """One base image: pulled, or built from Debian if no registry can be reached."""

    def __init__(self, project: Project, name: str) -> None:
        self.title = f"Base image {name}"
        self._name = name
        self._log = project.step_logs / "base-images.log"

    def find(self) -> Finding:
        result = capture(
            ["docker", "image", "inspect", "-f", "{{json .Config.Labels}}", self._name]
        )
        if result.ok:
            return Finding(True, describe(json.loads(result.out) or {}))
        if registry_reachable():
            return Finding(False, "pulling it")
        return Finding(False, "building a substitute from Debian: no registry can be reached")

    def make(self, step: Step) -> str:
        if registry_reachable():
            follow(["docker", "pull", self._name], log=self._log, on_line=step.note)
            return "pulled"
        fallback.build_base_image(self._name, self._log, step)
        return describe({SUBSTITUTE_LABEL: "true"})


def registry_reachable(probe: reachability.Probe = reachability.is_reachable) -> bool:
    """Whether images can be pulled from Docker Hub or from a mirror in the engine's settings."""
    result = capture(["docker", "info", "--format", "{{json .RegistryConfig.Mirrors}}"])
    mirrors = result.ok and result.out.strip() not in {"", "null", "[]"}
    return mirrors or probe(REGISTRY)


def describe(labels: Mapping[str, str]) -> str:
    """Whether an image with these labels is the published one."""
    if labels.get(SUBSTITUTE_LABEL) == "true":
        return "a substitute built from Debian, not the published image"
    return "the published image"
