"""Pulumi's Docker plugin, in the version of the SDK."""

from __future__ import annotations

import os
from pathlib import Path

from toolchain import versions
from toolchain.commands.steps import Finding
from toolchain.project import Project
from toolchain.setup.pulumi_programs import cache_folder
from toolchain.stack.environment import pulumi_environment
from toolchain.terminal.processes import follow
from toolchain.terminal.progress import Step

PROGRAM = "pulumi-resource-docker"


def plugin_folder() -> Path:
    """Where the engine looks for the plugin."""
    home = os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi"
    return Path(home) / "plugins" / f"resource-docker-v{versions.DOCKER_PLUGIN}"


class DockerPlugin:
    """The plugin in the person's Pulumi home, official or built beside the CLI."""

    title = f"Docker plugin {versions.DOCKER_PLUGIN}"

    def __init__(self, project: Project, folder: Path | None = None) -> None:
        self._project = project
        self._folder = folder or plugin_folder()
        # Says which build of ours this is: the version alone does not.
        self._mark = self._folder / ".built-by-llm-stack"

    def find(self) -> Finding:
        if not (self._folder / PROGRAM).exists():
            return Finding(False, "installing it")
        build = cache_folder(self._project).name
        if self._mark.exists() and self._mark.read_text(encoding="utf-8") != build:
            return Finding(False, "replacing the one that was built from other module files")
        origin = "built from Go modules" if self._mark.exists() else "Pulumi's own"
        return Finding(True, f"{origin}, in {self._folder}")

    def make(self, step: Step) -> str:
        command = ["plugin", "install", "resource", "docker", versions.DOCKER_PLUGIN, "--reinstall"]
        built = self._project.built_plugin
        if built.exists():
            command += ["--file", str(built.resolve())]
        follow(
            [self._project.bin / "pulumi", *command],
            log=self._project.step_logs / "docker-plugin.log",
            env=pulumi_environment(self._project),
            on_line=step.note,
        )
        if built.exists():
            self._mark.write_text(cache_folder(self._project).name, encoding="utf-8")
        return f"in {self._folder}"
