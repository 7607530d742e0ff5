"""Containers of published images on a Swarm of three nodes: a database, a cache, a model server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
import yaml
from docker.models.containers import Container

from tests.doubles.registry_server import USER, RegistryServer, running_registry
from tests.integration.containers.conftest import from_registry, output_of, publish
from tests.integration.swarm.conftest import TEAM, TIMEOUT_SECONDS, Images, SwarmStack
from tests.integration.swarm.rig import Swarm, wait_for

IMAGES = ("chat", "monitor")
PARTS = ("postgres", "redis", "llama-server")
SERVICES = ["chat-interface", "chat-model", "postgres", "redis"]
# The model server of tests/integration/containers/parts.yaml.
CHAT_MODEL: dict[str, Any] = {
    "kind": "container",
    "image": "ghcr.io/ggml-org/llama.cpp:server",
    "command": "--model /opt/models/tiny.gguf --alias small-chat --host 0.0.0.0 --ctx-size 512",
    "port": 8080,
    "memory": "256MiB",
    "cpus": 0.5,
    "serves": {},
}
ASK = """
import json, urllib.request
body = {"model": "small-chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
request = urllib.request.Request(
    "http://127.0.0.1:8080/v1/chat/completions", json.dumps(body).encode(),
    {"content-type": "application/json"},
)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


@pytest.fixture(scope="module")
def registry(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A public registry on the loopback of each node and of this machine, with one storage."""
    folder = tmp_path_factory.mktemp("registry")
    with running_registry(folder, public=True) as server:
        for node in swarm.nodes:
            node.spawn("docker-registry", "serve", folder / "registry.yml", log="registry.log")
        yield server


@pytest.fixture(scope="module")
def stack(
    swarm: Swarm,
    registry: RegistryServer,
    images: Images,
    buildkit: Callable[..., Any],
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SwarmStack]:
    """Postgres and Redis as in the catalogue, and a model server behind the gateway."""
    digests = {name: images.build_own(name) for name in IMAGES}
    publish(registry, engine, buildkit, *PARTS)
    stack = SwarmStack(tmp_path_factory.mktemp("stack"), swarm.manager.client(), swarm=swarm)
    catalog = stack.project / "catalog"
    (catalog / "chat-model.yaml").write_text(
        yaml.safe_dump({"services": {"chat-model": CHAT_MODEL}})
    )
    for path in catalog.glob("*.yaml"):
        path.write_text(from_registry(path.read_text(encoding="utf-8"), registry.address))
    configure(stack, registry, digests, SERVICES)
    stack.change(docker_host=swarm.manager.socket)
    stack.pulumi("config", "set", "--secret", "registryPassword", registry.password)
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()


def configure(
    stack: SwarmStack, registry: RegistryServer, digests: dict[str, str], services: list[str]
) -> None:
    stack.configure(
        orchestrator="swarm",
        services=services,
        # This kernel may lack the IPsec that encryption between nodes needs.
        swarm={"encrypted": False},
        monitor={"interval": 2},
        registry={"server": registry.address, "repository": TEAM, "username": USER},
        imageDigests=digests,
    )


def container(stack: SwarmStack, swarm: Swarm, service: str) -> Container:
    """The running container of a service, on whichever node it is."""
    labels = [f"llm-stack.stack={stack.name}", f"llm-stack.service={service}"]

    def running() -> Container | None:
        for node in swarm.nodes:
            for found in node.client().containers.list(filters={"label": labels}):
                return found
        return None

    return wait_for(running, TIMEOUT_SECONDS, service)


def test_the_database_and_the_cache_work(stack: SwarmStack, swarm: Swarm) -> None:
    psql = ["psql", "--host=/run/postgresql", "--username=stack", "--no-align", "--tuples-only"]
    postgres = container(stack, swarm, "postgres")
    assert output_of(postgres, *psql, "--command=SELECT current_database()") == "stack"
    ping = "REDISCLI_AUTH=$(cat /run/secrets/redis-password) redis-cli ping"
    assert output_of(container(stack, swarm, "redis"), "sh", "-c", ping) == "PONG"


def test_the_gateway_reaches_the_model_server(stack: SwarmStack, swarm: Swarm) -> None:
    gateway = container(stack, swarm, "chat-interface")

    def answer() -> str | None:
        code, output = gateway.exec_run(["python3", "-c", ASK])
        assert isinstance(output, bytes)
        return output.decode() if code == 0 else None

    text = wait_for(answer, TIMEOUT_SECONDS, "an answer")
    assert json.loads(text)["choices"][0]["message"]["content"]


def test_an_unchanged_stack_has_no_planned_changes(stack: SwarmStack) -> None:
    stack.pulumi("preview", "--expect-no-changes")


def test_the_preview_names_the_keys_that_swarm_lacks(stack: SwarmStack) -> None:
    refused_keys: dict[str, Any] = {
        "ports": ["9000:80"],
        "devices": ["/dev/dri"],
        "gpus": "all",
    }
    entry = {**CHAT_MODEL, **refused_keys}
    path = stack.project / "catalog" / "chat-model.yaml"
    good = path.read_text(encoding="utf-8")
    path.write_text(yaml.safe_dump({"services": {"chat-model": entry}}))
    refused = stack.pulumi("preview", check=False)
    path.write_text(good, encoding="utf-8")
    assert refused.returncode != 0
    output = refused.stdout + refused.stderr
    for key in refused_keys:
        assert re.search(rf"services\.chat-model\.{key}\b.*[Ss]warm", output), (key, output)
