"""Fixtures for a stack on a Swarm of three nodes, with a registry and a permanent client."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from tests.doubles import swarm_clients
from tests.doubles.registry_server import MANIFEST, USER, RegistryServer, running_registry
from tests.integration.conftest import StackUnderTest, build_arguments, forget_images
from tests.integration.swarm.rig import Swarm, running_swarm, wait_for

TEAM = "team/llm-stack"
IMAGES = ("chat", "inference-tiny", "monitor")
CONNECTOR = "connector"
SERVED = ("chat-interface", "mini-inference", "slow-inference")
TIMEOUT_SECONDS = 120.0
# A token in Cloudflare's format; the double of cloudflared does not verify it.
TOKEN = base64.b64encode(
    json.dumps(
        {"a": "a" * 32, "t": "5d7b0e0c-6a5f-4c0e-9c1b-0f6a3b2c1d00", "s": "c2VjcmV0"}
    ).encode()
).decode()


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    if os.geteuid():
        pytest.skip("only root may create the network namespaces of a Swarm's nodes")
    with running_swarm(3) as swarm:
        yield swarm


@pytest.fixture(scope="module")
def registry(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry on the loopback of each node and of this machine, with one storage.

    Engines and the provider use plain HTTP only for registries on the loopback.
    """
    folder = tmp_path_factory.mktemp("registry")
    with running_registry(folder) as server:
        for node in swarm.nodes:
            node.spawn("docker-registry", "serve", folder / "registry.yml", log="registry.log")
        yield server


@dataclass(frozen=True)
class Images:
    """Images that this machine's engine has built and pushed."""

    engine: docker.DockerClient
    registry: RegistryServer
    buildkit: Callable[..., Any]

    def build(self, name: str, *args: str) -> str:
        """Build, push, and return the digest."""
        repository = f"{self.registry.address}/{TEAM}/{name}"
        self.buildkit("--quiet", "-t", repository, *args, stdout=subprocess.DEVNULL)
        login = {"username": USER, "password": self.registry.password}
        for line in self.engine.images.push(
            repository, "latest", auth_config=login, stream=True, decode=True
        ):
            if "error" in line:
                pytest.fail(f"push of {name}: {line['error']}")
        with self.registry.client as client:
            answer = client.head(f"/{TEAM}/{name}/manifests/latest", headers={"Accept": MANIFEST})
        digest: str = answer.raise_for_status().headers["docker-content-digest"]
        return digest

    def build_own(self, name: str) -> str:
        """An image of this project."""
        return self.build(name, *build_arguments(name))

    def build_on(self, name: str, base: str, folder: Path, *lines: str) -> str:
        """Build another version of an image: its last build and further lines."""
        source = "\n".join([f"FROM {self.registry.address}/{TEAM}/{base}", *lines])
        (folder / "Dockerfile").write_text(source, encoding="utf-8")
        return self.build(name, str(folder))


@pytest.fixture(scope="module")
def images(
    engine: docker.DockerClient, registry: RegistryServer, buildkit: Callable[..., Any]
) -> Iterator[Images]:
    yield Images(engine, registry, buildkit)
    forget_images(engine, registry.address)


@dataclass
class SwarmStack(StackUnderTest):
    """A stack whose Docker provider uses the rig's manager."""

    swarm: Swarm | None = None

    def begin(self, registry: RegistryServer, digests: dict[str, str], **settings: Any) -> None:
        assert self.swarm is not None
        self.configure(
            orchestrator="swarm",
            services=list(SERVED),
            replicas={"chat-interface": 2, "mini-inference": 2},
            # This kernel may lack the IPsec that encryption between nodes needs.
            swarm={"encrypted": False},
            monitor={"interval": 2},
            gateway={"hosts": ["chat.example.com"]},
            keepVersions=1,
            registry={"server": registry.address, "repository": TEAM, "username": USER},
            imageDigests=digests,
            **settings,
        )
        self.change(docker_host=self.swarm.manager.socket)
        self.pulumi("config", "set", "--secret", "registryPassword", registry.password)
        self.pulumi("config", "set", "--secret", "cloudflareTunnelToken-chat-interface", TOKEN)

    def change(
        self, *, docker_host: str | None = None, images: dict[str, str] | None = None
    ) -> dict[str, str]:
        """Edit the stack's file; return its previous digests."""
        path = self.project / f"Pulumi.{self.name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if docker_host:
            content["config"]["docker:host"] = docker_host
        before: dict[str, str] = content["config"]["llm-stack:imageDigests"]
        content["config"]["llm-stack:imageDigests"] = {**before, **(images or {})}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return before

    def set(self, **settings: Any) -> None:
        """Edit some settings in the stack's file."""
        path = self.project / f"Pulumi.{self.name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["config"] |= {f"llm-stack:{key}": value for key, value in settings.items()}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    def remove(self) -> None:
        """Destroy what is left; volumes are removed with their nodes."""
        self.pulumi("cancel", "--yes", check=False)
        self.pulumi("destroy", "--yes", "--skip-preview", check=False)

    def services(self) -> dict[str, Any]:
        """Swarm services of this stack, by label."""
        found = self.engine.services.list(filters={"label": f"llm-stack.stack={self.name}"})
        return {service.attrs["Spec"]["Labels"]["llm-stack.service"]: service for service in found}

    def running(self, service: str) -> list[dict[str, Any]]:
        """The running tasks of a service, as reported by the manager."""
        tasks: list[dict[str, Any]] = self.services()[service].tasks({"desired-state": "running"})
        return [task for task in tasks if task["Status"]["State"] == "running"]

    def running_on(self, service: str) -> list[str]:
        """The node names of the running tasks."""
        names = {
            node.id: node.attrs["Description"]["Hostname"] for node in self.engine.nodes.list()
        }
        return sorted(names[task["NodeID"]] for task in self.running(service))


@dataclass
class Client:
    """The client's Swarm service and its log."""

    service: Any
    container: Any

    def stop(self) -> None:
        engine = self.container.client
        self.service.remove()
        mine = {"id": self.container.id}
        wait_for(
            lambda: not engine.containers.list(filters=mine), TIMEOUT_SECONDS, "the client to stop"
        )

    def answers(self) -> list[dict[str, Any]]:
        lines = self.container.logs(stderr=False).decode().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[dict[str, Any]]]:
        """Yield a list that receives all answers to requests sent within the block."""
        found: list[dict[str, Any]] = []
        began = time.time()
        yield found
        ended = time.time()

        def streams_have_ended() -> bool:
            # When the next stream has begun, the stream that was open at the end is complete.
            later = [a for a in self.answers() if a["kind"] == "began" and a["asked"] > ended]
            return len(later) >= swarm_clients.STREAMS

        wait_for(streams_have_ended, TIMEOUT_SECONDS, "the end of the streams")
        found += [
            a
            for a in self.answers()
            if a["kind"] != "began" and began <= a["asked"] + a["seconds"] and a["asked"] <= ended
        ]


def start_client(swarm: Swarm, network: str, image: str, stack: str) -> Client:
    """Run the client on the manager's node, which no test kills."""
    manager = swarm.manager.client()
    source = Path(swarm_clients.__file__).read_text(encoding="utf-8")
    service = manager.services.create(  # type: ignore[no-untyped-call]  # not in the stubs
        image,
        command=["python3"],
        args=["-u", "-c", source],
        name=f"client-of-{stack}",
        networks=[network],
        constraints=["node.role==manager"],
        # As PID 1, Python would ignore SIGTERM.
        init=True,
        endpoint_spec=docker.types.EndpointSpec(mode="dnsrr"),
        healthcheck={"Test": ["NONE"]},
    )

    def running() -> Any:
        found = manager.containers.list(filters={"name": f"client-of-{stack}"})
        return found[0] if found else None

    client = Client(service, wait_for(running, TIMEOUT_SECONDS, "the client"))
    wait_for(lambda: len(client.answers()) > 20, TIMEOUT_SECONDS, "answers to the client")
    return client
