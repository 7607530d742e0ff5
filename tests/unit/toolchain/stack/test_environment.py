"""The environment of pulumi, the same from `./dev` and from a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.stack.environment import pulumi_environment

ACTIVATE = Path(__file__).parents[4] / "toolchain" / "activate"
SHELLS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"),
    )
    for name in ("bash", "dash", "zsh")
]
# Variables that shells set.
OF_SHELLS = {"_", "PWD", "SHLVL", "OLDPWD", "HOME", "LOGNAME"}
BARE = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///elsewhere.sock"}


@pytest.fixture
def set_up(project: Project) -> Project:
    """A checkout with the files that activate reads."""
    (project.root / "toolchain").mkdir()
    shutil.copy(ACTIVATE, project.root / "toolchain" / "activate")
    project.bin.mkdir(parents=True)
    pulumi = project.bin / "pulumi"
    pulumi.write_text("")
    pulumi.chmod(0o755)
    return project


def sourced(shell: str, project: Project, environ: dict[str, str]) -> dict[str, str]:
    """The variables of a shell that has sourced `activate` under `set -eu`."""
    result = subprocess.run(
        [shell, "-c", "set -eu; . toolchain/activate; env -0"],
        cwd=project.root,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    lines = result.stdout.split("\0")
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: variables[name] for name in variables if name not in OF_SHELLS}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "own",
    [
        {},
        {"PULUMI_BACKEND_URL": "file:///mine", "PULUMI_CONFIG_PASSPHRASE": "mine"},
        {"PULUMI_CONFIG_PASSPHRASE_FILE": "/mine"},
        {"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "false"},
    ],
    ids=["nothing set", "own backend and passphrase", "own passphrase file", "own fallback"],
)
def test_shell_has_the_environment_of_dev(shell: str, own: dict[str, str], set_up: Project) -> None:
    assert sourced(shell, set_up, BARE | own) == pulumi_environment(set_up, BARE | own)


def test_lost_salt_is_read_from_the_state(project: Project) -> None:
    name = "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"
    assert pulumi_environment(project, BARE)[name] == "true"
    assert pulumi_environment(project, BARE | {name: "false"})[name] == "false"


@pytest.mark.parametrize("shell", SHELLS)
def test_downloads_are_disabled_with_a_built_plugin(shell: str, set_up: Project) -> None:
    set_up.built_plugin.parent.mkdir()
    set_up.built_plugin.write_text("")
    variables = sourced(shell, set_up, BARE)
    assert variables == pulumi_environment(set_up, BARE)
    assert variables["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_without_pulumi_prints_an_error(shell: str, set_up: Project) -> None:
    (set_up.bin / "pulumi").unlink()
    result = subprocess.run(
        [shell, "-c", ". toolchain/activate; echo $PATH"],
        cwd=set_up.root,
        env=BARE,
        capture_output=True,
        text=True,
    )
    assert "./dev up" in result.stderr
    assert result.stdout.strip() == BARE["PATH"]


def test_passphrase_is_not_in_the_environment(project: Project) -> None:
    project.state.mkdir()
    project.passphrase.write_text("hush")
    assert "hush" not in str(pulumi_environment(project, {"PATH": os.defpath}))
