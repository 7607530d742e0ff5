"""The confirmation before an installation with sudo."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest

from toolchain.setup import debian
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step


class Terminal(io.StringIO):
    """A terminal with this input."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("typed", ["n\n", "\n", ""], ids=["no", "Enter", "Ctrl-D"])
def test_nothing_is_installed_without_confirmation(
    typed: str, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "here", lambda: True)
    monkeypatch.setattr(debian, "is_root", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    with pytest.raises(SetupError, match="Nothing was installed"):
        debian.install(["jq"], purpose="jq", log=tmp_path / "log", step=step)
