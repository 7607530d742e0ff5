"""A registry for tests: Debian's docker-registry on the loopback, with one user or open to all."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import pytest
import yaml

from tests.ports import free_port

USER = "robot"
START_SECONDS = 30
# Media type of a manifest for one platform.
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class RegistryServer:
    """The registry's host and port, and the password of its user."""

    address: str
    password: str

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.address}/v2", auth=(USER, self.password))

    def repositories(self) -> list[str]:
        with self.client as client:
            names: list[str] = client.get("/_catalog").raise_for_status().json()["repositories"]
        return sorted(names)


@contextlib.contextmanager
def running_registry(directory: Path, *, public: bool = False) -> Iterator[RegistryServer]:
    """Serve an empty registry until the end of the block; a public one asks for no password."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.fail("docker-registry is missing; in Debian and Ubuntu: apt install docker-registry")
    server = RegistryServer(f"127.0.0.1:{free_port()}", secrets.token_hex(24))
    users = directory / "htpasswd"
    hashed = bcrypt.hashpw(server.password.encode(), bcrypt.gensalt(4, b"2a"))
    users.write_text(f"{USER}:{hashed.decode()}\n", encoding="utf-8")
    config = directory / "registry.yml"
    settings: dict[str, object] = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "images")}},
        "http": {"addr": server.address},
    }
    if not public:
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(users)}}
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with (directory / "registry.log").open("w") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log)
    try:
        _wait_until_ready(server, process, directory / "registry.log")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _wait_until_ready(server: RegistryServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError), server.client as client:
            client.get("/").raise_for_status()
            return
        time.sleep(0.1)
    pytest.fail(f"the registry does not answer:\n{log.read_text(encoding='utf-8')}")
