"""Connects to a remote Docker Engine, and selects the image store of a local one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.workflows.conftest import World

REMOTE = {
    "ENGINE_SSH": "deploy@host.example.com",
    "ENGINE_SSH_KEY": "not-a-key",
    "ENGINE_SSH_KNOWN_HOSTS": "host.example.com ssh-ed25519 AAAA",
}


def test_remote_docker_socket_is_forwarded(world: World, tmp_path: Path) -> None:
    world.fake("ssh")
    environment, socket = tmp_path / "environment", tmp_path / "engine.sock"
    world.run(
        "engine/open-engine",
        variables=REMOTE,
        GITHUB_ENV=str(environment),
        ENGINE_SOCKET=str(socket),
    )
    (ssh,) = world.calls("ssh")
    assert ssh[-1] == "deploy@host.example.com"
    assert f"{socket}:/var/run/docker.sock" in ssh
    assert "StrictHostKeyChecking=yes" in ssh, "the host key is verified"
    assert "not-a-key" not in " ".join(ssh)
    key = Path(ssh[ssh.index("-i") + 1])
    assert not key.exists(), "the key is deleted after ssh has started"
    assert environment.read_text() == f"DOCKER_HOST=unix://{socket}\n"


def test_local_engine_is_used_without_a_remote_one(world: World, tmp_path: Path) -> None:
    world.fake("ssh")
    environment = tmp_path / "environment"
    world.run("engine/open-engine", GITHUB_ENV=str(environment), ENGINE_SSH="")
    assert world.calls() == []
    assert not environment.exists()


@pytest.mark.parametrize("missing", ["ENGINE_SSH_KEY", "ENGINE_SSH_KNOWN_HOSTS"])
def test_remote_engine_without_a_key_is_an_error(
    world: World, tmp_path: Path, missing: str
) -> None:
    world.fake("ssh")
    refused = world.run("engine/open-engine", check=False, variables={**REMOTE, missing: ""})
    assert refused.returncode == 1
    assert "is empty" in refused.stderr
    assert world.calls() == []


def test_unreachable_remote_engine_sets_no_docker_host(world: World, tmp_path: Path) -> None:
    world.fake("ssh")
    world.answer("ssh", stderr="Host key verification failed.", code=255)
    environment = tmp_path / "environment"
    failed = world.run(
        "engine/open-engine", check=False, GITHUB_ENV=str(environment), variables=REMOTE
    )
    assert failed.returncode != 0
    assert not environment.exists()


SNAPSHOTTER = '[["driver-type","io.containerd.snapshotter.v1"]]'


@pytest.mark.usefixtures("jq")
@pytest.mark.parametrize("before", [None, '{"debug": true, "features": {"buildkit": true}}'])
def test_containerd_store_is_turned_off_and_other_settings_are_kept(
    world: World, tmp_path: Path, before: str | None
) -> None:
    world.fake("docker", "systemctl")
    world.answer("info", stdout=SNAPSHOTTER)
    as_root = world.programs / "sudo"
    as_root.write_text('#!/bin/sh\nexec "$@"\n')
    as_root.chmod(0o755)
    settings = tmp_path / "daemon.json"
    if before:
        settings.write_text(before)
    world.run("engine/use-classic-image-store", DOCKER_SETTINGS=str(settings))
    after = json.loads(settings.read_text())
    assert after["features"]["containerd-snapshotter"] is False
    if before:
        assert (after["debug"], after["features"]["buildkit"]) == (True, True)
    assert world.calls("systemctl") == [["systemctl", "restart", "docker"]]


def test_engine_with_the_classic_store_is_not_changed(world: World) -> None:
    world.fake("docker", "systemctl", "sudo")
    world.answer("info", stdout='[["Backing Filesystem","extfs"]]')
    world.run("engine/use-classic-image-store")
    assert [call[0] for call in world.calls()] == ["docker"]
