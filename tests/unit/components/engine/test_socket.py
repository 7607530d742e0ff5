"""The engine's socket: its path, its group inside a container, and the options it needs."""

from __future__ import annotations

import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.config.problems import SettingsError, Source
from components.engine import socket as module
from components.engine.info import EngineInfo
from components.engine.socket import DockerSocket, docker_socket, group_inside, subordinate_groups

SOURCE = Source("Pulumi.dev.yaml", "llm-stack:")
SUBGID = (
    "# a comment\nmary:100000:65536\njohn:165536:10\njohn:300000:65536\n1001:500000:5\nbad:x:y\n"
)


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    """A file instead of a socket: only its owner and group are read."""
    path = tmp_path / "docker.sock"
    path.touch()
    return path


def found(path: Path, info: EngineInfo | None, group: int | None = None) -> DockerSocket:
    return docker_socket(f"unix://{path}", group, info, SOURCE)


@pytest.mark.parametrize("info", [None, EngineInfo()])
def test_the_group_is_that_of_the_file_without_further_options(
    socket: Path, info: EngineInfo | None
) -> None:
    assert found(socket, info) == DockerSocket(str(socket), socket.stat().st_gid)


def test_an_engine_with_selinux_needs_label_disable(socket: Path) -> None:
    assert found(socket, EngineInfo(selinux=True), 7) == DockerSocket(
        str(socket), 7, security_opts=("label=disable",)
    )


def test_an_engine_with_user_namespaces_needs_the_hosts_ids(socket: Path) -> None:
    info = EngineInfo(remapped_users=True)
    assert found(socket, info) == DockerSocket(
        str(socket), socket.stat().st_gid, userns_mode="host"
    )


@pytest.mark.parametrize(
    ("gid", "inside"),
    [
        (1001, 0),  # John's primary group is root in his namespace.
        (165536, 1),
        (165545, 10),
        (300000, 11),  # The second range follows the first one.
        (300987, 998),  # Such as a group `docker` with the id 998.
        (100000, None),  # Mary's.
        (998, None),
    ],
)
def test_a_group_is_mapped_as_rootlesskit_maps_it(gid: int, inside: int | None) -> None:
    assert group_inside(gid, 1001, subordinate_groups(SUBGID, {"john"})) == inside


def test_ranges_are_found_by_name_or_id() -> None:
    assert [*subordinate_groups(SUBGID, {"john", "1001"})] == [
        (165536, 10),
        (300000, 65536),
        (500000, 5),
    ]


@pytest.fixture
def rootless(socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rootless engine's socket whose group is not the user's primary group."""
    subgid = tmp_path / "subgid"
    monkeypatch.setattr(module, "SUBORDINATE_GROUPS", subgid)
    own = socket.stat().st_gid + 1
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="john", pw_gid=own))
    return subgid


def test_a_rootless_engines_socket_belongs_to_root_inside(
    socket: Path, rootless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = socket.stat().st_gid
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="john", pw_gid=own))
    assert found(socket, EngineInfo(rootless=True)) == DockerSocket(str(socket), 0)


def test_a_rootless_engines_socket_may_belong_to_its_docker_group(
    socket: Path, rootless: Path
) -> None:
    rootless.write_text(f"john:{socket.stat().st_gid}:65536\n", encoding="utf-8")
    assert found(socket, EngineInfo(rootless=True)).group == 1


def test_a_group_that_cannot_be_mapped_must_be_set(socket: Path, rootless: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        found(socket, EngineInfo(rootless=True))
    assert str(refusal.value) == (
        "Pulumi.dev.yaml: llm-stack:monitor.socketGroup: is missing; the group that owns the socket "
        "of a rootless engine inside its containers cannot be read from here (outside of them it is "
        f"{socket.stat().st_gid}); allowed: what `docker run --rm -v {socket}:/s python:3.11-slim "
        "stat -c %g /s` prints, or monitor.restarts: false; "
        "run: pulumi config set --path llm-stack:monitor.socketGroup <id>"
    )
    assert found(socket, EngineInfo(rootless=True), 5).group == 5, "the setting decides"


@pytest.mark.parametrize("host", ["ssh://deploy@berlin", "tcp://berlin:2376"])
def test_the_socket_of_a_remote_engine_has_the_default_path(host: str) -> None:
    assert docker_socket(host, 5, EngineInfo(), SOURCE) == DockerSocket("/var/run/docker.sock", 5)
    with pytest.raises(SettingsError, match="socketGroup: is missing; the group of the engine's"):
        docker_socket(host, None, EngineInfo(), SOURCE)


def test_the_socket_of_a_remote_rootless_engine_must_be_set() -> None:
    with pytest.raises(SettingsError) as refusal:
        docker_socket("ssh://deploy@berlin", 5, EngineInfo(rootless=True), SOURCE)
    assert str(refusal.value) == (
        "Pulumi.dev.yaml: llm-stack:monitor.restarts: the path of the socket of a rootless "
        "engine cannot be read at ssh://deploy@berlin; allowed: false; run: pulumi config set "
        "--path llm-stack:monitor.restarts false"
    )
