"""Parsing of an engine's info, and how it is requested over sockets, SSH and TCP."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from components.engine import info as engine_info
from components.engine.info import EngineInfo, ask_engine, read_info

# Parts of real responses: Docker 20.10 of Debian, and a new installation of 29.
DEBIAN = {
    "ServerVersion": "20.10.24+dfsg1",
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
    "MemTotal": 25276502016,
    "CpuCfsQuota": True,
    "Runtimes": {"runc": {"path": "runc"}, "io.containerd.runc.v2": {"path": "runc"}},
    "SecurityOptions": ["name=seccomp,profile=default"],
}
NEWEST = {
    "ServerVersion": "29.0.1",
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
}


@pytest.mark.parametrize(
    ("answer", "info"),
    [
        (
            DEBIAN,
            EngineInfo(
                version="20.10.24+dfsg1",
                memory=25276502016,
                runtimes=("io.containerd.runc.v2", "runc"),
            ),
        ),
        (NEWEST, EngineInfo(version="29.0.1", containerd_images=True)),
        ({"SecurityOptions": ["name=selinux"]}, EngineInfo(selinux=True)),
        ({"SecurityOptions": ["name=rootless", "name=cgroupns"]}, EngineInfo(rootless=True)),
        ({"SecurityOptions": ["name=userns"]}, EngineInfo(remapped_users=True)),
        ({"NCPU": 2}, EngineInfo(cpus=2)),
        ({"CpuCfsQuota": False}, EngineInfo(limits_cpus=False)),
        ({"OperatingSystem": "Docker Desktop"}, EngineInfo(desktop=True)),
        (
            {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]},
            EngineInfo(devices=("nvidia.com/gpu=0",)),
        ),
        (
            {"DriverStatus": None, "SecurityOptions": None, "Runtimes": None, "MemTotal": 0},
            EngineInfo(),
        ),
    ],
)
def test_the_info_is_parsed(answer: dict[str, Any], info: EngineInfo) -> None:
    assert read_info(answer) == info


@contextmanager
def engine_at(path: Path, answer: bytes) -> Iterator[list[str]]:
    """Run a server on a Unix socket; yield the lines of its requests."""
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().strip())
            self.wfile.write(answer)

    with socketserver.UnixStreamServer(str(path), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield asked
        finally:
            server.shutdown()
            serving.join()


def http_answer(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def no_client(*_: object) -> NoReturn:
    pytest.fail("Docker's client takes long to import")


def test_a_socket_is_requested_once_without_a_docker_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_info, "query", no_client)
    with engine_at(tmp_path / "d.sock", http_answer(json.dumps(NEWEST).encode())) as asked:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/d.sock")
        assert ask_engine(None) == read_info(NEWEST)
    assert asked == ["GET /info HTTP/1.1"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        http_answer(b'{"message": "no"}', "500 Internal Server Error"),
        http_answer(b"[]"),
        http_answer(b"not JSON"),
        http_answer(b"{}"),
    ],
)
def test_an_invalid_response_is_left_to_the_provider(tmp_path: Path, answer: bytes) -> None:
    with engine_at(tmp_path / "d.sock", answer):
        assert ask_engine(f"unix://{tmp_path}/d.sock") is None


def test_a_socket_without_a_server_is_not_an_error(tmp_path: Path) -> None:
    assert ask_engine(f"unix://{tmp_path}/d.sock") is None


class Ssh:
    """A double of `subprocess.run`."""

    def __init__(self, outcome: subprocess.CompletedProcess[bytes] | Exception) -> None:
        self.outcome = outcome
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        self.commands.append(command)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def test_over_ssh_the_remote_client_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = Ssh(subprocess.CompletedProcess([], 0, json.dumps(DEBIAN).encode()))
    monkeypatch.setattr(subprocess, "run", ssh)
    monkeypatch.setattr(engine_info, "query", no_client)
    assert ask_engine("ssh://deploy@berlin:2222") == read_info(DEBIAN)
    ((*options, host, remote),) = ssh.commands
    assert (host, remote) == ("ssh://deploy@berlin:2222", "docker info --format '{{json .}}'")
    assert {"BatchMode=yes", "ConnectTimeout=5"} <= set(options), "nothing may wait for a person"


@pytest.mark.parametrize(
    "outcome",
    [
        subprocess.CompletedProcess([], 255, b""),
        subprocess.CompletedProcess([], 0, b'{"ServerErrors": ["Cannot connect"]}'),
        subprocess.TimeoutExpired("ssh", 20),
        FileNotFoundError("ssh"),
    ],
)
def test_an_unreachable_machine_is_left_to_the_provider(
    monkeypatch: pytest.MonkeyPatch, outcome: Any
) -> None:
    monkeypatch.setattr(subprocess, "run", Ssh(outcome))
    assert ask_engine("ssh://deploy@berlin") is None


def test_other_urls_use_the_docker_client_with_its_certificates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer_of(host: str | None, question: object, timeout: int) -> dict[str, Any]:
        assert (host, timeout) == ("tcp://berlin:2376", 5)
        return DEBIAN

    monkeypatch.setattr(engine_info, "query", answer_of)
    assert ask_engine("tcp://berlin:2376") == read_info(DEBIAN)
