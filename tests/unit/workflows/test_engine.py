"""The engine of another machine, and an engine that the Docker provider can build in."""

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


def test_the_socket_of_another_machine_is_brought_here(world: World, tmp_path: Path) -> None:
    world.pretend("ssh")
    environment, socket = tmp_path / "environment", tmp_path / "engine.sock"
    world.run("open-engine", GITHUB_ENV=str(environment), ENGINE_SOCKET=str(socket), **REMOTE)
    (ssh,) = world.calls("ssh")
    assert ssh[-1] == "deploy@host.example.com"
    assert f"{socket}:/var/run/docker.sock" in ssh
    assert "StrictHostKeyChecking=yes" in ssh, "nobody may stand in for the host"
    assert "not-a-key" not in " ".join(ssh)
    key = Path(ssh[ssh.index("-i") + 1])
    assert not key.exists(), "the key goes when ssh has read it"
    assert environment.read_text() == f"DOCKER_HOST=unix://{socket}\n"


def test_without_another_machine_the_engine_is_this_ones(world: World, tmp_path: Path) -> None:
    world.pretend("ssh")
    environment = tmp_path / "environment"
    world.run("open-engine", GITHUB_ENV=str(environment), ENGINE_SSH="")
    assert world.calls() == []
    assert not environment.exists()


@pytest.mark.parametrize("missing", ["ENGINE_SSH_KEY", "ENGINE_SSH_KNOWN_HOSTS"])
def test_a_machine_without_its_key_is_refused(world: World, tmp_path: Path, missing: str) -> None:
    world.pretend("ssh")
    refused = world.run("open-engine", check=False, **{**REMOTE, missing: ""})
    assert refused.returncode == 1
    assert "is empty" in refused.stderr
    assert world.calls() == []


def test_a_machine_that_cannot_be_reached_leaves_no_engine(world: World, tmp_path: Path) -> None:
    world.pretend("ssh")
    world.answer("ssh", complains="Host key verification failed.", code=255)
    environment = tmp_path / "environment"
    failed = world.run("open-engine", check=False, GITHUB_ENV=str(environment), **REMOTE)
    assert failed.returncode != 0
    assert not environment.exists()


SNAPSHOTTER = '[["driver-type","io.containerd.snapshotter.v1"]]'


@pytest.mark.parametrize("before", [None, '{"debug": true, "features": {"buildkit": true}}'])
def test_the_containerd_store_is_turned_off_and_other_settings_stay(
    world: World, tmp_path: Path, before: str | None
) -> None:
    world.pretend("docker", "systemctl")
    world.answer("info", says=SNAPSHOTTER)
    as_root = world.programs / "sudo"
    as_root.write_text('#!/bin/sh\nexec "$@"\n')
    as_root.chmod(0o755)
    settings = tmp_path / "daemon.json"
    if before:
        settings.write_text(before)
    world.run("use-classic-image-store", DOCKER_SETTINGS=str(settings))
    after = json.loads(settings.read_text())
    assert after["features"]["containerd-snapshotter"] is False
    if before:
        assert (after["debug"], after["features"]["buildkit"]) == (True, True)
    assert world.calls("systemctl") == [["systemctl", "restart", "docker"]]


def test_an_engine_with_the_classic_store_is_left_alone(world: World) -> None:
    world.pretend("docker", "systemctl", "sudo")
    world.answer("info", says='[["Backing Filesystem","extfs"]]')
    world.run("use-classic-image-store")
    assert [call[0] for call in world.calls()] == ["docker"]
