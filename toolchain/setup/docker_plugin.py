"""Pulumi's Docker plugin, in the version of the SDK."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from toolchain import versions
from toolchain.project import Project
from toolchain.setup import fallback
from toolchain.setup.pinned_plugins import install_command
from toolchain.setup.pulumi_programs import PLUGIN
from toolchain.stack.environment import pulumi_environment
from toolchain.steps import Finding
from toolchain.terminal.processes import follow
from toolchain.terminal.progress import Step


def plugin_folder() -> Path:
    """The folder in which Pulumi looks for the plugin."""
    home = os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi"
    return Path(home) / "plugins" / f"resource-docker-v{versions.DOCKER_PLUGIN}"


class DockerPlugin:
    """The plugin in the user's Pulumi home: the official one, or built together with the CLI."""

    title = f"Docker plugin {versions.DOCKER_PLUGIN}"

    def __init__(self, project: Project, folder: Path | None = None) -> None:
        self._project = project
        self._folder = folder or plugin_folder()
        # Contains the digest of the module files: builds of different files have the same version.
        self._mark = self._folder / ".built-by-llm-stack"

    def find(self) -> Finding:
        if not (self._folder / PLUGIN).exists():
            return Finding(False, "installing it")
        if not self._mark.exists():
            return Finding(True, f"the official one, in {self._folder}")
        if self._mark.read_text(encoding="utf-8") != fallback.programs_folder(self._project).name:
            return Finding(False, "replacing a build from other module files")
        return Finding(True, f"built from Go modules, in {self._folder}")

    def make(self, step: Step) -> str:
        built = self._project.built_plugin
        with tempfile.TemporaryDirectory() as folder:
            if built.exists():
                command = ["plugin", "install", "resource", "docker", versions.DOCKER_PLUGIN]
                command += ["--file", str(built.resolve())]
            else:
                command = install_command("docker", Path(folder), step.note)
            follow(
                [self._project.bin / "pulumi", *command, "--reinstall"],
                log=self._project.step_logs / "docker-plugin.log",
                env=pulumi_environment(self._project),
                on_line=step.note,
            )
        if built.exists():
            self._mark.write_text(fallback.programs_folder(self._project).name, encoding="utf-8")
        return f"in {self._folder}"
