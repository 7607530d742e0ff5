"""Published images in a registry on the loopback, and a stack of containers that runs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from docker.models.containers import Container

from app.chat.access.keys import new_key
from tests.doubles.registry_server import RegistryServer, running_registry
from tests.integration.conftest import (
    PROJECT_ROOT,
    StackUnderTest,
    build_arguments,
    forget_images,
)
from tests.ports import free_port

SOURCES = PROJECT_ROOT / "tests" / "doubles" / "published"
INFERENCE = "llm-stack-test/inference"
SECRET_SETTINGS = ("llm-stack:apiKeys", "llm-stack:secrets")
# The targets of the Dockerfile, with the names of the images that they replace.
REPOSITORIES = {
    "postgres": "library/postgres:17.10",
    "redis": "library/redis:8.8",
    "prometheus": "prom/prometheus:v3.13.3",
    "nginx": "library/nginx:1.29",
    "chat-page": "open-webui/open-webui:v0.11.4",
    "llama-server": "ggml-org/llama.cpp:server",
}
# Resolved for each request: the page's container changes with each update.
PROXY = """\
resolver 127.0.0.11 valid=1s;
server {
    listen 8000;
    location / {
        set $page http://page:8080;
        proxy_pass $page;
    }
}
"""
Build = Callable[..., subprocess.CompletedProcess[str]]


def publish(
    server: RegistryServer, engine: docker.DockerClient, build: Build, *targets: str
) -> None:
    """Build images and push them, so that the engine has to pull them again."""
    if "llama-server" in targets:
        build(
            "--quiet",
            "-t",
            INFERENCE,
            *build_arguments("inference-tiny"),
            stdout=subprocess.DEVNULL,
        )
    for target in targets:
        repository, _, tag = REPOSITORIES[target].partition(":")
        name = f"{server.address}/{repository}"
        build(
            *("--quiet", "--target", target, "-t", f"{name}:{tag}"),
            *(f"--build-arg=LLAMA_IMAGE={INFERENCE}", str(SOURCES)),
            stdout=subprocess.DEVNULL,
        )
        for line in engine.images.push(name, tag, stream=True, decode=True):
            if "error" in line:
                pytest.fail(f"push of {name}: {line['error']}")
    forget(server, engine)


def forget(server: RegistryServer, engine: docker.DockerClient) -> None:
    """Remove the registry's images from the engine."""
    forget_images(engine, server.address)


@pytest.fixture(scope="session")
def published(
    engine: docker.DockerClient, buildkit: Build, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryServer]:
    """A registry without a password that holds every image."""
    with running_registry(tmp_path_factory.mktemp("published"), public=True) as server:
        try:
            publish(server, engine, buildkit, *REPOSITORIES)
            yield server
        finally:
            forget(server, engine)


def from_registry(text: str, address: str) -> str:
    """A catalogue with every published image replaced by the one in the registry."""
    named = re.compile(r"^(\s+image: )(?:docker\.io/|ghcr\.io/)?(\S+)", re.MULTILINE)

    def replaced(match: re.Match[str]) -> str:
        name = match[2] if "/" in match[2] else f"library/{match[2]}"
        return f"{match[1]}{address}/{name}"

    return named.sub(replaced, text)


@dataclass
class PartsStack(StackUnderTest):
    """A stack with ready entries and the services of parts.yaml."""

    settings: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    """Of the tests, for the gateway; the page has its own."""

    def begin(self, address: str) -> None:
        """Write the catalogue and the settings."""
        catalog = self.project / "catalog"
        shutil.copy(Path(__file__).parent / "parts.yaml", catalog)
        for path in catalog.glob("*.yaml"):
            path.write_text(from_registry(path.read_text(encoding="utf-8"), address))
        self.write("migrations/tables.sql", "CREATE TABLE IF NOT EXISTS notes (note text);\n")
        self.write("proxy/page.conf", PROXY)
        self.settings = {
            "services": [
                "chat-interface", "chat-model", "embedding-model", "migrate", "page", "postgres",
                "prometheus", "proxy", "redis",
            ],
            "hostPorts": {
                name: free_port() for name in ("chat-interface", "monitor", "prometheus")
            },
            "values": {name: str(free_port()) for name in ("page_port", "proxy_port")},
            "monitor": {"interval": 2},
        }  # fmt: skip
        self.configure(**self.settings)
        self.key, of_tests = new_key("tests")
        key_of_page, of_page = new_key("page")
        keys = {"keys": [{"name": one.name, "sha256": one.sha256} for one in (of_tests, of_page)]}
        config = ("config", "set", "--secret")
        self.pulumi(*config, "llm-stack:apiKeys", json.dumps(keys))
        self.pulumi(*config, "--path", "llm-stack:secrets.page-key", key_of_page)

    def configure(self, **settings: Any) -> None:
        """Replace the settings in the stack's file; its secrets stay."""
        path = self.project / f"Pulumi.{self.name}.yaml"
        before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        config: dict[str, Any] = before.get("config") or {}
        super().configure(**settings)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["config"] |= {name: config[name] for name in SECRET_SETTINGS if name in config}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    def write(self, name: str, text: str) -> str:
        """Replace a file below catalog/; returns what was there."""
        path = self.project / "catalog" / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(text, encoding="utf-8")
        return before

    def edit(self, name: str, old: str, new: str) -> str:
        """Replace a part of a file below catalog/; returns what was there."""
        before = (self.project / "catalog" / name).read_text(encoding="utf-8")
        assert old in before
        return self.write(name, before.replace(old, new, 1))

    def url(self, service: str) -> str:
        """Where a service is published."""
        port = self.settings["hostPorts"].get(service) or self.settings["values"][f"{service}_port"]
        return f"http://127.0.0.1:{port}"

    def ids(self) -> dict[str, str | None]:
        return {name: container.id for name, container in self.containers().items()}


def output_of(container: Container, *command: str) -> str:
    """Run a command in a container."""
    code, output = container.exec_run([*command])
    assert code == 0, output
    assert isinstance(output, bytes)
    return output.decode().strip()


@pytest.fixture(scope="module")
def parts(
    published: RegistryServer, tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient
) -> Iterator[PartsStack]:
    """The whole stack, brought up by one `pulumi up`; always destroyed afterwards."""
    stack = PartsStack(tmp_path_factory.mktemp("parts"), engine)
    try:
        stack.begin(published.address)
        stack.up()
        yield stack
    finally:
        stack.remove()
