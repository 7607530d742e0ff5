"""What this checkout keeps for itself: Pulumi's state, a passphrase, and git's view of the rest."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from .errors import SetupError
from .processes import ask
from .progress import Step
from .project import NAME, Project
from .steps import Finding

PASSPHRASE_BYTES = 32
# Named by .gitattributes: what pulumi writes into a tracked file, but belongs to one machine.
FILTER = "llm-stack-machine"
MACHINE_LINES = ("^encryptionsalt:", f"^ *{NAME}:standInModel:")


class LocalState:
    """The git-ignored `.state`, and a git filter for the lines that are this machine's alone."""

    title = "Local state"

    def __init__(self, project: Project) -> None:
        self._project = project

    def find(self) -> Finding:
        missing = []
        if not self._project.pulumi_state.is_dir():
            missing.append("a folder for Pulumi's state")
        if not self._project.passphrase.exists():
            missing.append("a passphrase")
        if not self._filter_is_set():
            missing.append("a git filter that keeps this machine's lines out of commits")
        if missing:
            return Finding(False, f"making {', '.join(missing)}")
        return Finding(True, f"in {self._project.state}")

    def make(self, step: Step) -> str:
        self._project.state.mkdir(exist_ok=True)
        self._project.state.chmod(0o700)
        self._project.pulumi_state.mkdir(mode=0o700, exist_ok=True)
        if not self._project.passphrase.exists():
            self._forget_old_salt()
            write_passphrase(self._project.passphrase)
        if not self._filter_is_set():
            self._git("config", f"filter.{FILTER}.clean", filter_command())
        return f"in {self._project.state}; the passphrase is in {self._project.passphrase}"

    def settle(self) -> None:
        """Tell git that the settings file is unchanged but for what the filter takes out.

        By its size alone git would call it modified; nothing that a person changed is added.
        """
        file = self._project.stack_config.name
        if ask(["git", "-C", self._project.root, "diff", "--quiet", "--", file]).ok:
            self._git("add", "--", file)

    def _filter_is_set(self) -> bool:
        if not self._git("rev-parse", "--is-inside-work-tree"):
            return True
        return self._git("config", "--get", f"filter.{FILTER}.clean") == filter_command()

    def _git(self, *args: str) -> str:
        return ask(["git", "-C", self._project.root, *args]).out.strip()

    def _forget_old_salt(self) -> None:
        """A salt belongs to the passphrase it was made with; pulumi makes a new one."""
        file = self._project.stack_config
        if not file.exists():
            return
        text = file.read_text(encoding="utf-8")
        if "\nencryptionsalt:" not in f"\n{text}":
            return
        if "secure:" in text:
            raise SetupError(
                f"{file.name} holds encrypted settings, but the passphrase that opens them "
                f"({self._project.passphrase}) is gone. Put it back, or take these settings out."
            )
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("encryptionsalt:")]
        file.write_text("".join(kept), encoding="utf-8")


def filter_command() -> str:
    """What git runs over Pulumi.dev.yaml before it compares or commits it."""
    return "sed " + " ".join(f"-e '/{pattern}/d'" for pattern in MACHINE_LINES)


def write_passphrase(path: Path) -> None:
    """Make a passphrase that only its owner can read, complete or not at all."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(PASSPHRASE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    # A link fails where another run was quicker, whose passphrase may be in use already.
    try:
        os.link(unfinished, path)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink(missing_ok=True)
