"""Local files of a checkout: Pulumi's state, a passphrase, and the dev stack's settings."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from toolchain.project import Project
from toolchain.steps import Finding
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture
from toolchain.terminal.progress import Step

PASSPHRASE_BYTES = 32
# Earlier versions tracked Pulumi.dev.yaml and hid local changes with this git filter.
OLD_FILTER = "llm-stack-machine"


class LocalState:
    """The git-ignored `.state` and `Pulumi.dev.yaml`; tracked files are not changed."""

    title = "Local state"

    def __init__(self, project: Project) -> None:
        self._project = project

    def find(self) -> Finding:
        missing = []
        if not self._project.pulumi_state.is_dir():
            missing.append("the folder of Pulumi's state")
        if not self._project.passphrase.exists():
            missing.append("a passphrase")
        if not self._project.stack_config.exists():
            missing.append(self._project.stack_config.name)
        if self._old_filter():
            return Finding(False, "removing the git filter that earlier versions set")
        if missing:
            return Finding(False, f"creating {', '.join(missing)}")
        return Finding(True, f"in {self._project.state}")

    def make(self, step: Step) -> str:
        project = self._project
        project.state.mkdir(exist_ok=True)
        project.state.chmod(0o700)
        project.pulumi_state.mkdir(mode=0o700, exist_ok=True)
        if not project.passphrase.exists():
            self._remove_old_salt()
            write_passphrase(project.passphrase)
        if not project.stack_config.exists():
            # For an existing stack, pulumi adds the salt from its state: see environment.py.
            shutil.copyfile(project.stack_config_example, project.stack_config)
        if self._old_filter():
            self._git("config", "--remove-section", f"filter.{OLD_FILTER}")
        return f"in {project.state}; the passphrase is in {project.passphrase}"

    def _old_filter(self) -> bool:
        return bool(self._git("config", "--local", "--get", f"filter.{OLD_FILTER}.clean"))

    def _git(self, *args: str) -> str:
        return capture(["git", "-C", self._project.root, *args]).out.strip()

    def _remove_old_salt(self) -> None:
        """Remove the salt of a lost passphrase; pulumi creates a new one."""
        file = self._project.stack_config
        if not file.exists():
            return
        text = file.read_text(encoding="utf-8")
        if "\nencryptionsalt:" not in f"\n{text}":
            return
        if "secure:" in text:
            raise SetupError(
                f"{file.name} contains encrypted settings, but their passphrase "
                f"({self._project.passphrase}) is missing. Restore it, or remove these settings."
            )
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("encryptionsalt:")]
        file.write_text("".join(kept), encoding="utf-8")


def write_passphrase(path: Path) -> None:
    """Create a passphrase with mode 600, atomically."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(PASSPHRASE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    # The link fails if another run finished first; its passphrase may be in use.
    try:
        os.link(unfinished, path)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink(missing_ok=True)
