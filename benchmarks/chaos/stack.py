"""A stack on an engine of its own, which a fault may restart, seen from that engine's network."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
import yaml
from docker.models.containers import Container

from benchmarks import processes
from tests.doubles.registry_server import USER, RegistryServer, running_registry
from tests.integration.conftest import (
    PROJECT_ROOT,
    StackUnderTest,
    buildkit_build,
    forget_images,
)
from tests.integration.swarm.conftest import TEAM, Images
from tests.integration.swarm.rig import Node, running_engines

CHAT, MODEL, OTHER = "chat-interface", "mini-inference", "second-inference"
TUNNEL, MONITOR, RESTARTER = f"{CHAT}-tunnel-1", "monitor", "restarter"
CHAT_PORT, PAGE_PORT, SINK_PORT = 8080, 8090, 8099
OWN_IMAGES = ("carrier", "chat", "inference-tiny", "monitor", "restarter")
CLONE_NEWNET = 0x40000000
WAIT_SECONDS = 300.0
# The library on the clock of the containers that have a clock of their own.
FAKETIME = ("LD_PRELOAD=/opt/libfaketime.so.1", "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1")
CLOCK_FILE = "/tmp/clock"
MODELS = """
  mini:
    description: As tiny
    bundled: tiny
    context: 512
    slots: 2
    threads: 1
  second:
    description: As tiny
    bundled: tiny
    context: 512
    slots: 2
    threads: 1
"""
SERVICES = """
  mini-inference: {kind: inference, description: Mini, model: mini, memory: 512MiB, cpus: 1}
  second-inference: {kind: inference, description: Second, model: second, memory: 512MiB, cpus: 1}
"""
# A token in Cloudflare's format; the double of cloudflared does not verify it.
TOKEN = base64.b64encode(
    json.dumps(
        {"a": "a" * 32, "t": "5d7b0e0c-6a5f-4c0e-9c1b-0f6a3b2c1d00", "s": "c2VjcmV0"}
    ).encode()
).decode()

Found = TypeVar("Found")


def wait_for(look: Callable[[], Found | None], what: str, seconds: float = WAIT_SECONDS) -> Found:
    """Call `look` until it returns a result; return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


@contextlib.contextmanager
def on_network_of(node: Node) -> Iterator[None]:
    """Run the block on the network of a node: threads and programs that it starts, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        open("/proc/self/ns/net") as before,
        open(f"/var/run/netns/{node.name}") as inside,
    ):

        def enter(file: Any) -> None:
            if libc.setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

        enter(inside)
        try:
            yield
        finally:
            enter(before)


@dataclass
class ChaosStack(StackUnderTest):
    """The stack, its engine, and what faults need of them."""

    node: Node = field(kw_only=True)

    def begin(self, registry: RegistryServer, digests: dict[str, str], interval: int) -> None:
        catalogue = self.project / "services.yaml"
        models, services = catalogue.read_text(encoding="utf-8").split("\nservices:\n")
        catalogue.write_text(f"{models}{MODELS}\nservices:\n{services}{SERVICES}")
        connector = digests.pop("connector")
        self.configure(
            services=[CHAT, MODEL, OTHER],
            hostPorts={CHAT: CHAT_PORT, MONITOR: PAGE_PORT},
            monitor={
                "interval": interval,
                "publicChecks": {"enabled": False},
                # Each fault counts as the first: they come more often than in a stack in use.
                "thresholds": {"flapChanges": 100},
                "restartPolicy": {"limit": 100, "stableAfter": 10},
            },
            registry={"server": registry.address, "repository": TEAM, "username": USER},
            imageDigests=digests,
            gateway={"hosts": ["chat.example.com"]},
            tunnel={
                "mode": "named",
                "access": "access",
                "image": f"{registry.address}/{TEAM}/connector@{connector}",
            },
        )
        path = self.project / f"Pulumi.{self.name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["config"]["docker:host"] = self.node.socket
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        secret = ("config", "set", "--secret")
        self.pulumi(*secret, "registryPassword", registry.password)
        self.pulumi(*secret, f"cloudflareTunnelToken-{CHAT}", TOKEN)
        sink = f"http://{self.node.address}:{SINK_PORT}"
        self.pulumi(*secret, "alertWebhook-sink", f"{sink}/alerts")
        self.pulumi(*secret, "heartbeatUrl", f"{sink}/heartbeat")

    def container(self, service: str) -> Container:
        """The running container of a service."""

        def look() -> Container | None:
            # Also while the engine restarts.
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                found = self.containers().get(service)
                return found if found and found.status == "running" else None
            return None

        return wait_for(look, f"the container of {service}")

    def processes(self, service: str) -> list[int]:
        """The processes of a service but its init, as this machine numbers them."""
        found = processes.of_container(str(self.container(service).id))
        return [pid for pid in found if processes.name(pid) not in ("", "docker-init")]

    def signal(self, service: str, number: int) -> None:
        """Send a signal to every process of a service but its init."""
        for pid in self.processes(service):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def engine_process(self) -> int:
        """The process of the engine, as this machine numbers it."""

        def look() -> int | None:
            for pid in processes.descendants(self.node.processes[0].pid):
                if processes.name(pid) == "dockerd":
                    return pid
            return None

        return wait_for(look, "the engine's process")

    def engine_answers(self) -> bool | None:
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
            return bool(self.engine.ping()) or None
        return None

    def limit_of_processes(self, service: str) -> Path:
        """The file with the limit of the processes of a container."""
        identifier = str(self.container(service).id)
        found = [*Path("/sys/fs/cgroup").glob(f"**/{self.node.name}/{identifier}/pids.max")]
        return found[0]

    def volume_folder(self, service: str, path: str) -> Path:
        """The folder of the engine with the volume that a service has at a path."""
        mounts = self.container(service).attrs["Mounts"]
        return Path(next(one["Source"] for one in mounts if one["Destination"] == path))


@contextlib.contextmanager
def running_stack(
    folder: Path, interval: int, faketime: Path | None, options: Sequence[str] = ()
) -> Iterator[ChaosStack]:
    """Run a stack on an engine of its own until the end of the block.

    :param options: of the engine.
    """
    engine = docker.from_env()
    with (
        running_engines(1, supervised=True, options=options) as (node,),
        running_registry(folder) as registry,
    ):
        node.spawn("docker-registry", "serve", folder / "registry.yml", log="registry.log")
        try:
            digests = pushed(Images(engine, registry, buildkit_build()), folder, faketime)
        finally:
            forget_images(engine, registry.address)
        with on_network_of(node):
            stack = ChaosStack(folder, node.client(), node=node)
            # Pulumi logs in for the project's own images only.
            stack.engine.images.pull(
                f"{registry.address}/{TEAM}/connector@{digests['connector']}",
                auth_config={"username": USER, "password": registry.password},
            )
            stack.begin(registry, digests, interval)
            stack.up()
            yield stack


def pushed(images: Images, folder: Path, faketime: Path | None) -> dict[str, str]:
    """Build and push all images; return their digests."""
    digests = {name: images.build_own(name) for name in OWN_IMAGES}
    double = PROJECT_ROOT / "tests/doubles/cloudflared"
    digests["connector"] = images.build("connector", str(double))
    if faketime:
        context = folder / "clock"
        context.mkdir()
        (context / "libfaketime.so.1").write_bytes(faketime.read_bytes())
        lines = ["COPY libfaketime.so.1 /opt/", f"ENV {' '.join(FAKETIME)}"]
        lines.append(f"ENV FAKETIME_TIMESTAMP_FILE={CLOCK_FILE}")
        for name in ("monitor", "restarter"):
            digests[name] = images.build_on(name, name, context, *lines)
    return digests
