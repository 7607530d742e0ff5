"""Inference containers for tests: started with a model.json, and the requests to them."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from docker.models.containers import Container

HUB = Path(__file__).parents[1] / "doubles/model_hub.py"
HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": "size=64m,noexec"},
    "init": True,
    "mem_limit": "1g",
    "memswap_limit": "1g",
    "pids_limit": 256,
    # The image's health check, with a shorter interval.
    "healthcheck": {"interval": 1_000_000_000},
}
PUBLISHED = {"8000/tcp": ("127.0.0.1", None)}


@dataclass
class Inference:
    """Starts hardened containers of an inference image, and removes them."""

    engine: docker.DockerClient
    image: str
    folder: Path
    """For configuration files; the engine has to be on this machine."""
    started: list[Container] = field(default_factory=list)

    def start(
        self,
        *files: dict[str, Any],
        more_files: dict[str, str] | None = None,
        run: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Container:
        """Start a container with these files of the model.

        :param more_files: files beside model.json, by name.
        :param run: options of `docker run`, for the Docker SDK.
        :param settings: of model.json.
        """
        config = self.folder / f"config-{len(self.started)}"
        config.mkdir()
        content = {"name": "m", "context": 512, "slots": 2, "files": files, **settings}
        written = {"model.json": json.dumps(content), **(more_files or {})}
        for name, text in written.items():
            (config / name).write_text(text, encoding="utf-8")
        # The program has another user than these tests.
        config.chmod(0o755)
        given = {"ports": PUBLISHED, **HARDENED, **(run or {})}
        given["volumes"] = {
            str(config): {"bind": "/run/config", "mode": "ro"},
            **given.get("volumes", {}),
        }
        container = self.engine.containers.run(self.image, detach=True, **given)
        self.started.append(container)
        return container

    def start_hub(self, repository: str, *paths: str, **options: Any) -> Container:
        """Start the model hub double with files of the image, or of a volume."""
        options["volumes"] = {
            str(HUB): {"bind": "/model_hub.py", "mode": "ro"},
            **options.get("volumes", {}),
        }
        container = self.engine.containers.run(
            self.image,
            entrypoint=["python3", "/model_hub.py"],
            command=["8080", repository, "hub-storage", *paths],
            detach=True,
            **(HARDENED | options),
        )
        self.started.append(container)
        return container

    def remove(self) -> None:
        for container in self.started:
            with suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)


@contextmanager
def inference(engine: docker.DockerClient, image: str, folder: Path) -> Iterator[Inference]:
    """Starts containers, which are removed at the end."""
    made = Inference(engine, image, folder)
    try:
        yield made
    finally:
        made.remove()


def wait_until_healthy(container: Container, seconds: float = 120) -> Container:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        container.reload()
        if container.attrs["State"].get("Health", {}).get("Status") == "healthy":
            return container
        if container.status == "exited":
            break
        time.sleep(0.2)
    pytest.fail(f"not healthy ({container.status}):\n{container.logs().decode()}")


def failure_line(container: Container, code: int) -> dict[str, Any]:
    """The last log line of a container that exited with this code."""
    ended = container.wait(timeout=120)
    printed = container.logs().decode()
    assert ended["StatusCode"] == code, printed
    assert "Traceback" not in printed
    lines: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    return lines[-1]


def address(container: Container) -> str:
    container.reload()
    [published] = container.ports["8000/tcp"] or []
    return f"http://127.0.0.1:{published['HostPort']}"


def ask(url: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"} | headers,
    )
    return urllib.request.urlopen(request, timeout=60)


def answer(container: Container, path: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON that a container answers."""
    with ask(f"{address(container)}{path}", body) as response:
        return json.load(response)


async def slots_are_busy(server: str, wanted: bool) -> None:
    """Wait until a slot of the llama-server works, or none does."""
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            slots = (await client.get(f"{server}/slots")).json()
            if any(slot["is_processing"] for slot in slots) is wanted:
                return


async def tokens_predicted(server: str) -> int:
    """The tokens that the llama-server has generated since its start."""
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{server}/metrics")).text.splitlines()
    (value,) = [line for line in lines if line.startswith("llamacpp:tokens_predicted_total ")]
    return int(value.split()[1])
