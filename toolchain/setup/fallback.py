"""Loads toolchain.offline, for machines that cannot reach releases or registries.

No other module of the default path imports that package, and these functions do so only when they
are called.
"""

from __future__ import annotations

from pathlib import Path

from toolchain.project import Project
from toolchain.terminal.progress import Step


def programs_folder(project: Project) -> Path:
    """The cache folder for Pulumi's programs, built from the present Go module files."""
    from toolchain.offline import go_modules

    return go_modules.programs_folder(project)


def build_programs(project: Project, target: Path, step: Step) -> None:
    """Build Pulumi's programs from Go modules into `target`; raises `SetupError`."""
    from toolchain.offline import go_modules

    go_modules.build(project, target, step)


def build_base_image(name: str, log: Path, step: Step) -> None:
    """Build a substitute for a base image; raises `SetupError`."""
    from toolchain.offline import substitute_images

    substitute_images.build(name, log, step)
