"""The digests of the plugins' archives: written from a server, passed to pulumi."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.setup import docker_plugin, pinned_plugins
from toolchain.setup.docker_plugin import DockerPlugin
from toolchain.setup.pinned_plugins import PLATFORMS, PLUGINS, archive_name, this_platform
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step

ARCHIVES = [archive_name(plugin, platform) for plugin in PLUGINS for platform in PLATFORMS]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every archive, used as the server, and no digests."""
    server = tmp_path / "server"
    server.mkdir()
    for archive in ARCHIVES:
        (server / archive).write_text(archive)
    file = tmp_path / "plugins.sha256"
    file.write_text("")
    monkeypatch.setattr(pinned_plugins, "DIGESTS", file)
    monkeypatch.setattr(pinned_plugins, "SERVER", server.as_uri())
    return server


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the step that installs the Docker plugin, with the archive's content."""
    commands: list[list[str]] = []

    def follow(command: list[str | Path], **_: object) -> None:
        words = [str(word) for word in command]
        archives = [Path(word).read_text() for word in words if word.endswith(".tar.gz")]
        commands.append([*words, *archives])

    monkeypatch.setattr(docker_plugin, "follow", follow)
    return commands


def test_the_committed_digests_are_those_of_the_present_versions() -> None:
    """Or of none: after an update of a plugin, run the command in the module's docstring."""
    assert sorted(pinned_plugins.pinned()) in ([], sorted(ARCHIVES))


def test_every_archive_is_pinned(server: Path) -> None:
    assert pinned_plugins.main([]) == 0
    assert pinned_plugins.pinned() == {
        archive: hashlib.sha256(archive.encode()).hexdigest() for archive in ARCHIVES
    }


def test_a_missing_archive_is_an_error_and_pins_nothing(
    server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (server / ARCHIVES[-1]).unlink()
    assert pinned_plugins.main([]) == 1
    assert f"{ARCHIVES[-1]} cannot be downloaded" in capsys.readouterr().err
    assert pinned_plugins.pinned() == {}


def test_the_docker_plugin_is_installed_from_its_pinned_archive(
    server: Path, project: Project, step: Step, commands: list[list[str]]
) -> None:
    pinned_plugins.pin()
    DockerPlugin(project).make(step)
    (command,) = commands
    assert command[-1] == archive_name("docker", this_platform())
    assert command[1:5] == ["plugin", "install", "resource", "docker"]


def test_another_archive_is_not_installed(
    server: Path, project: Project, step: Step, commands: list[list[str]]
) -> None:
    pinned_plugins.pin()
    (server / archive_name("docker", this_platform())).write_text("modified")
    with pytest.raises(SetupError, match=r"has SHA-256 \w+, but plugins.sha256 contains"):
        DockerPlugin(project).make(step)
    assert commands == []


def test_digests_of_other_versions_are_an_error(
    server: Path, project: Project, step: Step, commands: list[list[str]]
) -> None:
    pinned_plugins.pin()
    digests = pinned_plugins.DIGESTS
    digests.write_text(digests.read_text().replace("docker-v", "docker-v0"))
    with pytest.raises(SetupError, match=r"no digest of pulumi-resource-docker-v.*; run: python3"):
        DockerPlugin(project).make(step)
    assert commands == []


def test_without_digests_pulumi_downloads_the_plugin(
    server: Path, project: Project, step: Step, commands: list[list[str]]
) -> None:
    DockerPlugin(project).make(step)
    (command,) = commands
    assert "--file" not in command


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-amd64"),
        ("linux", "aarch64", "linux-arm64"),
        ("darwin", "arm64", "darwin-arm64"),
    ],
)
def test_the_platform_has_pulumis_name(system: str, machine: str, name: str) -> None:
    assert this_platform(system, machine) == name
