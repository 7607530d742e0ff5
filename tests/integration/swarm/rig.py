"""A Swarm of several Docker engines on one machine, each in its own namespaces."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import docker
import requests

START_SECONDS = 60
# A range reserved for tests (RFC 2544), which Docker does not use.
NETWORK = "198.18.{}.{}"
# Engine settings that docs/swarm.md requires.
HARDENING = ("--no-new-privileges", "--default-ulimit", "nproc=4096:4096")
# The sockets of the containers' shims are in that folder, independent of the engine's folders.
ISOLATED = """
hostname "$0"
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd
exec docker-init -s -- "$@"
"""
# As systemd does, with its pause. Containers of an engine that was killed are still there.
SUPERVISED = """
while :; do "$@" || true; sleep 0.1; done
"""

Found = TypeVar("Found")


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def wait_for(look: Callable[[], Found | None], seconds: float, what: str) -> Found:
    """Call `look` until it returns a result; return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


@dataclass
class Node:
    """One engine: its network namespace, its processes, its folder.

    Its processes are in a PID namespace, so that all of them, containers included, end with the
    node. A mount namespace does the same for its mounts.
    """

    name: str
    address: str
    folder: Path
    bridge: str
    supervised: bool = False
    """Start the engine again when it ends."""
    options: Sequence[str] = ()
    """More options of the engine."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def socket(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def link(self) -> str:
        """The bridge's end of the node's veth pair."""
        return f"v{self.name}"

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.socket, timeout=60)

    def start(self, gateway: str) -> None:
        self.folder.mkdir()
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "eth0", "netns", self.name)
        run("ip", "link", "set", self.link, "master", self.bridge, "up")
        inside = ("ip", "-n", self.name)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "route", "add", "default", "via", gateway)
        self.spawn(
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts"),
            *("sh", "-ec", ISOLATED, self.name),
            *(("sh", "-c", SUPERVISED, "sh") if self.supervised else ()),
            "dockerd",
            *("--host", self.socket, "--data-root", f"{self.folder}/data"),
            *("--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/docker.pid"),
            # No server listens there, so that unknown names fail at once.
            *("--cgroup-parent", f"/{self.name}", "--dns", gateway, *HARDENING, *self.options),
            log="dockerd.log",
        )

    def spawn(self, *command: str | Path, log: str) -> None:
        """Start a program on the node's network."""
        with (self.folder / log).open("ab") as output:
            self.processes.append(
                subprocess.Popen(
                    ["nsenter", f"--net=/var/run/netns/{self.name}", *command],
                    stdout=output,
                    stderr=output,
                    cwd="/",
                )
            )

    def wait_until_ready(self) -> None:
        def answers() -> bool:
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                client = self.client()
                try:
                    return bool(client.ping())
                finally:
                    client.close()
            if self.processes[0].poll() is not None:
                raise AssertionError((self.folder / "dockerd.log").read_text()[-3000:])
            return False

        wait_for(answers, START_SECONDS, f"an answer of {self.name}")

    def die(self) -> None:
        """Simulate a power failure: cut the network, then kill every process."""
        run("ip", "link", "set", self.link, "down")
        self.kill()

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def remove(self) -> None:
        self.kill()
        for command in (["ip", "link", "del", self.link], ["ip", "netns", "del", self.name]):
            subprocess.run(command, capture_output=True)
        for group in Path("/sys/fs/cgroup").glob(f"**/{self.name}"):
            _remove_cgroup(group)


def _remove_cgroup(group: Path) -> None:
    """Remove a cgroup's folders, innermost first; its files cannot be deleted."""
    for folder, _, _ in os.walk(group, topdown=False):
        # The kernel needs a moment to release ended processes.
        wait_for(functools.partial(_gone, folder), 10, f"the end of {folder}")


def _gone(folder: str) -> bool:
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not Path(folder).exists()


@dataclass
class Swarm:
    """The nodes; the first is the manager."""

    nodes: list[Node]

    @property
    def manager(self) -> Node:
        return self.nodes[0]

    @property
    def workers(self) -> list[Node]:
        return self.nodes[1:]

    def node_of(self, hostname: str) -> Node:
        return next(node for node in self.nodes if node.name == hostname)


@contextlib.contextmanager
def running_swarm(size: int) -> Iterator[Swarm]:
    """Run a Swarm until the end of the block."""
    with running_engines(size) as nodes:
        _join(nodes)
        yield Swarm(nodes)


@contextlib.contextmanager
def running_engines(
    size: int, *, supervised: bool = False, options: Sequence[str] = ()
) -> Iterator[list[Node]]:
    """Run engines, which are not in a Swarm, until the end of the block."""
    mark = secrets.token_hex(2)
    third = secrets.randbelow(250)
    gateway, bridge = NETWORK.format(third, 1), f"sw{mark}"
    # Sockets below it must stay under 108 characters.
    folder = Path(tempfile.mkdtemp(prefix=f"swarm-{mark}-"))
    nodes = [
        Node(
            f"sw{mark}n{at}",
            NETWORK.format(third, 10 + at),
            folder / f"n{at}",
            bridge,
            supervised,
            options,
        )
        for at in range(1, size + 1)
    ]
    accept = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]
    try:
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "addr", "add", f"{gateway}/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        # Docker sets the policy of this chain to drop.
        run("iptables", "-w", "-I", *accept)
        for node in nodes:
            node.start(gateway)
        for node in nodes:
            node.wait_until_ready()
        yield nodes
    finally:
        for node in nodes:
            node.remove()
        subprocess.run(["iptables", "-w", "-D", *accept], capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True)
        shutil.rmtree(folder)


def _join(nodes: list[Node]) -> None:
    manager = nodes[0].client()
    manager.swarm.init(advertise_addr=nodes[0].address, listen_addr=nodes[0].address)
    manager.swarm.reload()
    token = manager.swarm.attrs["JoinTokens"]["Worker"]
    for node in nodes[1:]:
        worker = node.client()
        worker.swarm.join([f"{nodes[0].address}:2377"], token, node.address, node.address)
        worker.close()

    def ready() -> bool:
        states = [node.attrs["Status"]["State"] for node in manager.nodes.list()]
        return states == ["ready"] * len(nodes)

    wait_for(ready, START_SECONDS, "all nodes")
    manager.close()
