"""The passphrase and the settings file of the dev stack, which git ignores."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.stack.local_state import LocalState, write_passphrase
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step

SETTINGS = "# Comment\nconfig:\n  llm-stack:services:\n    - chat-interface\n"


def git(project: Project, *args: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    command = ["git", "-C", str(project.root), *identity, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(project: Project) -> Project:
    source = Path(__file__).parents[4]
    for name in (".gitattributes", ".gitignore"):
        (project.root / name).write_text((source / name).read_text())
    project.stack_config_example.write_text(SETTINGS)
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "start")
    return project


def test_passphrase_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    write_passphrase(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text()) >= 40
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_existing_passphrase_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_text("in use")
    write_passphrase(path)
    assert path.read_text() == "in use"


def test_incomplete_passphrase_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "passphrase.new").write_text("ha")
    write_passphrase(tmp_path / "passphrase")
    assert len((tmp_path / "passphrase").read_text()) >= 40


def test_second_run_finds_everything(checkout: Project, step: Step) -> None:
    local = LocalState(checkout)
    assert not local.find().ready
    local.make(step)
    assert local.find().ready


def test_passphrase_is_not_printed(checkout: Project, step: Step) -> None:
    description = LocalState(checkout).make(step)
    assert checkout.passphrase.read_text() not in description


def test_changes_of_pulumi_are_not_tracked(checkout: Project, step: Step) -> None:
    LocalState(checkout).make(step)
    assert checkout.stack_config.read_text() == SETTINGS
    own = "  llm-stack:placeholderModel: tiny\nencryptionsalt: v1:abc:def\n"
    checkout.stack_config.write_text(SETTINGS + own)
    assert git(checkout, "status", "--porcelain") == ""


def test_existing_settings_are_kept(checkout: Project, step: Step) -> None:
    LocalState(checkout).make(step)
    checkout.stack_config.write_text(f"{SETTINGS}    - phi-inference\n")
    LocalState(checkout).make(step)
    assert checkout.stack_config.read_text() == f"{SETTINGS}    - phi-inference\n"


def test_removed_settings_are_recreated(checkout: Project, step: Step) -> None:
    LocalState(checkout).make(step)
    passphrase = checkout.passphrase.read_text()
    checkout.stack_config.unlink()
    assert checkout.stack_config.name in LocalState(checkout).find().what
    LocalState(checkout).make(step)
    assert checkout.stack_config.read_text() == SETTINGS
    assert checkout.passphrase.read_text() == passphrase


def test_filter_of_earlier_versions_is_removed(checkout: Project, step: Step) -> None:
    LocalState(checkout).make(step)
    git(checkout, "config", "filter.llm-stack-machine.clean", "sed -e /x/d")
    assert not LocalState(checkout).find().ready
    LocalState(checkout).make(step)
    assert LocalState(checkout).find().ready
    assert "llm-stack-machine" not in git(checkout, "config", "--local", "--list")


def test_salt_of_a_lost_passphrase_is_removed(checkout: Project, step: Step) -> None:
    checkout.stack_config.write_text(f"{SETTINGS}encryptionsalt: v1:abc:def\n")
    LocalState(checkout).make(step)
    assert checkout.stack_config.read_text() == SETTINGS


def test_settings_encrypted_with_a_lost_passphrase_are_kept(checkout: Project, step: Step) -> None:
    secret = "  llm-stack:hfToken:\n    secure: v1:abc\nencryptionsalt: v1:abc:def\n"
    checkout.stack_config.write_text(SETTINGS + secret)
    with pytest.raises(SetupError, match="encrypted settings, but their passphrase"):
        LocalState(checkout).make(step)
    assert checkout.stack_config.read_text() == SETTINGS + secret
    assert not checkout.passphrase.exists()
