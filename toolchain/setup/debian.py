"""Installs packages with apt on Debian and Ubuntu."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import follow
from toolchain.terminal.progress import Step

OS_RELEASE = Path("/etc/os-release")


def is_debian(os_release: str) -> bool:
    """Whether the text of an os-release file is from Debian or a derivative."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    names = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").split()
    return not {"debian", "ubuntu"}.isdisjoint(names)


def here() -> bool:
    """Whether this machine uses apt."""
    if shutil.which("apt-get") is None or not OS_RELEASE.exists():
        return False
    return is_debian(OS_RELEASE.read_text(encoding="utf-8"))


def is_root() -> bool:
    """Whether this process runs as root."""
    return os.geteuid() == 0


def install(packages: Sequence[str], *, purpose: str, log: Path, step: Step) -> None:
    """Install packages as root, or with sudo after confirmation; raises `SetupError`."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if not here():
        raise SetupError(
            f"{purpose} is missing, and this system does not use apt. Install it "
            f"(Debian package: {' '.join(packages)}), then run this command again."
        )
    prefix: list[str] = []
    if not is_root():
        _ensure_sudo_is_confirmed(f"{purpose} is missing. Install it by: sudo {' '.join(command)}")
        prefix = ["sudo"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    step.doing(f"installing {' '.join(packages)} with apt")
    for args in (["apt-get", "update", "-q"], command):
        follow(
            [*prefix, *args],
            log=log,
            env=environment,
            on_line=lambda line: step.note(line.strip()[:70]),
        )


def _ensure_sudo_is_confirmed(text: str) -> None:
    if not sys.stdin.isatty() or shutil.which("sudo") is None:
        raise SetupError(f"{text}\nThen run this command again.")
    try:
        answer = input(f"{text}\nDo that now? [y/N] ")
    except EOFError:
        # Ctrl-D.
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise SetupError("Nothing was installed.")
    # Ask for the password now: the output of later commands goes to a log.
    if subprocess.run(["sudo", "-v"]).returncode:
        raise SetupError("sudo failed; nothing was installed.")
