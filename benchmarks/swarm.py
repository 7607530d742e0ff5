"""How many nodes and services a Swarm of this project bears: `python -m benchmarks.swarm`.

A Swarm of several engines on this machine, each in its own namespaces, with a registry and the
project's own images. For each number of services: `pulumi up`, `pulumi preview` without a change,
one more service, `pulumi destroy`; with the memory of the engines, of the tasks and of Pulumi, and
the processor time of a stack without requests. One service is the chat, all others serve the tiny
model, which adds little to what a llama-server needs itself. Prints a Markdown table and removes
all that it made. Needs root and `. toolchain/activate`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import docker
import yaml

from benchmarks import processes
from tests.doubles.registry_server import USER, RegistryServer, running_registry
from tests.integration.conftest import StackUnderTest, buildkit_build, forget_images
from tests.integration.swarm.conftest import IMAGES, TEAM, Images
from tests.integration.swarm.rig import Node, Swarm, running_swarm, wait_for

CHAT = "chat-interface"
LISTS = "lists of the gateway and the monitor"
PREVIEWS = 3
READY_SECONDS = 900
MEBI = 1 << 20
MODEL = {"description": "tiny", "bundled": "tiny", "context": 512, "slots": 1, "threads": 1}
ALL_SERVE = """
import json, sys, urllib.request
with urllib.request.urlopen("http://127.0.0.1:8090/api/v1/status") as answer:
    sys.exit(not all(one["serving"] for one in json.load(answer)["services"]))
"""
ENGINE_PROGRAMS = ("dockerd", "containerd", "containerd-shim-runc-v2")


@dataclass
class Row:
    """The figures of one number of services."""

    services: int
    resources: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    pulumi: dict[str, int] = field(default_factory=dict)
    """Highest memory in bytes of each program, over all commands."""
    memory: dict[str, float] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)
    """Processors in use while the stack has no requests."""
    problem: str = ""


def catalogue(services: int) -> dict[str, Any]:
    """A chat, and models up to the number of services."""
    names = [f"model-{number:03}" for number in range(1, services)]
    chat = {"kind": "chat", "description": "chat", "memory": "512MiB", "cpus": 1}
    inference = {
        f"{name}-inference": {
            "kind": "inference",
            "description": name,
            "model": name,
            "memory": "256MiB",
            "cpus": 1,
        }
        for name in names
    }
    return {"models": dict.fromkeys(names, MODEL), "services": {CHAT: chat, **inference}}


@dataclass
class Measured(StackUnderTest):
    """A stack of any number of services on the Swarm, whose commands are measured."""

    def begin(self, node: Node, registry: RegistryServer, digests: dict[str, str]) -> None:
        self.configure(
            orchestrator="swarm",
            services="all",
            # This kernel may lack the IPsec that encryption between nodes needs.
            swarm={"encrypted": False},
            registry={"server": registry.address, "repository": TEAM, "username": USER},
            imageDigests=digests,
        )
        path = self.project / f"Pulumi.{self.name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["config"]["docker:host"] = node.socket
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        self.pulumi("config", "set", "--secret", "registryPassword", registry.password)

    def write_catalogue(self, services: int) -> None:
        text = yaml.safe_dump(catalogue(services), sort_keys=False)
        (self.project / "services.yaml").write_text(text, encoding="utf-8")

    def resources(self) -> list[Any]:
        state = json.loads(self.pulumi("stack", "export").stdout)
        resources: list[Any] = state["deployment"]["resources"]
        return resources

    def measured(self, row: Row, label: str, *command: str) -> None:
        """Run a command; note its time, and the memory of all programs that it ran."""
        began = time.perf_counter()
        with (self.directory / "pulumi.log").open("w+") as log:
            process = subprocess.Popen(
                ["pulumi", *command, "--non-interactive"],
                cwd=self.project,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
            with processes.peaks(process.pid) as found:
                process.wait()
            row.seconds[label] = time.perf_counter() - began
            log.seek(0)
            if process.returncode:
                raise RuntimeError(f"{label}: {log.read()[-4000:]}")
        for program, most in found.items():
            row.pulumi[program] = max(row.pulumi.get(program, 0), most)
        print(f"  {row.services}: {label} {row.seconds[label]:.1f} s", flush=True)


def tasks(swarm: Swarm, stack: str) -> Iterator[tuple[str, Any]]:
    """The stack's service of each running container, and the container."""
    for node in swarm.nodes:
        for container in node.client().containers.list(
            filters={"label": f"llm-stack.stack={stack}"}, ignore_removed=True
        ):
            yield part_of(container.labels["llm-stack.service"]), container


def part_of(service: str) -> str:
    """The part of the stack that a service belongs to."""
    if service.endswith("-lists"):
        return LISTS
    return {CHAT: "gateway", "monitor": "monitor"}.get(service, "model server")


def task_memory(swarm: Swarm, stack: str) -> dict[str, float]:
    """The mean memory in bytes of the tasks of each part."""
    found: dict[str, list[int]] = {}
    for part, container in tasks(swarm, stack):
        used = sum(map(processes.resident, processes.of_container(container.id)))
        found.setdefault(part, []).append(used)
    return {part: mean(values) for part, values in found.items()}


def engine_memory(node: Node) -> dict[str, int]:
    """The memory in bytes of each program of a node's engine."""
    found = dict.fromkeys(ENGINE_PROGRAMS, 0)
    for pid in processes.descendants(node.processes[0].pid):
        if (program := processes.name(pid)) in found:
            found[program] += processes.resident(pid)
    return found


def engines_memory(swarm: Swarm) -> dict[str, float]:
    """The same for all nodes; shims of all containers of a node together."""
    return {
        f"{program} of node {at}": float(used)
        for at, node in enumerate(swarm.nodes, 1)
        for program, used in engine_memory(node).items()
    }


def processor_times(swarm: Swarm, stack: str) -> dict[str, float]:
    """Processor seconds so far of the engines, and of the tasks of each part."""
    found = {"engines": 0.0}
    for node in swarm.nodes:
        for pid in processes.descendants(node.processes[0].pid):
            if processes.name(pid) in ENGINE_PROGRAMS:
                found["engines"] += processes.cpu_seconds(pid)
    for part, container in tasks(swarm, stack):
        total = (
            container.stats(stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]["total_usage"]
            / 1e9
        )
        found[part] = found.get(part, 0.0) + total
    return found


def machine_busy() -> float:
    """Processor seconds of the whole machine so far, without what waited."""
    fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / processes.TICKS


def idle_use(swarm: Swarm, stack: str, seconds: float) -> dict[str, float]:
    """Processors that a stack without requests uses, by part."""
    before, busy, began = processor_times(swarm, stack), machine_busy(), time.monotonic()
    time.sleep(seconds)
    after, busy = processor_times(swarm, stack), machine_busy() - busy
    passed = time.monotonic() - began
    used = {part: (after[part] - before[part]) / passed for part in after if part in before}
    return {**used, "whole machine": busy / passed}


def wait_until_served(swarm: Swarm, stack: StackUnderTest) -> None:
    """Wait until the monitor reports every service as serving."""

    def served() -> bool:
        for part, container in tasks(swarm, stack.name):
            if part == "monitor":
                return bool(container.exec_run(["python3", "-c", ALL_SERVE]).exit_code == 0)
        return False

    wait_for(served, READY_SECONDS, "all services")


def measure(swarm: Swarm, stack: Measured, services: int, seconds: float) -> Row:
    """The whole life of a stack with a number of services; what fails is in the row."""
    row = Row(services)
    stack.write_catalogue(services)
    try:
        stack.measured(row, "up", "up", "--yes", "--skip-preview")
        began = time.perf_counter()
        wait_until_served(swarm, stack)
        row.seconds["served after up"] = time.perf_counter() - began
        row.resources = len(stack.resources())
        row.cores = idle_use(swarm, stack.name, seconds)
        row.memory = task_memory(swarm, stack.name) | engines_memory(swarm)
        unchanged = []
        for _ in range(PREVIEWS):
            stack.measured(row, "preview", "preview", "--expect-no-changes")
            unchanged.append(row.seconds["preview"])
        row.seconds["preview"] = median(unchanged)
        stack.write_catalogue(services + 1)
        stack.measured(row, "add one", "up", "--yes", "--skip-preview")
    except (RuntimeError, AssertionError) as error:
        row.problem = str(error)
        print(f"  {services}: {error}", flush=True)
    stack.measured(row, "destroy", "destroy", "--yes", "--skip-preview")
    return row


def table(rows: Sequence[Row], nodes: int) -> str:
    """A Markdown table with a column for each number of services."""
    lines = [
        f"| {nodes} nodes; services | {' | '.join(str(row.services) for row in rows)} |",
        f"|---|{'---:|' * len(rows)}",
    ]

    def line(label: str, figure: Callable[[Row], float | None], places: int = 0) -> None:
        figures = (figure(row) for row in rows)
        texts = ("-" if one is None else f"{one:.{places}f}" for one in figures)
        lines.append(f"| {label} | {' | '.join(texts)} |")

    line("Pulumi resources", lambda row: row.resources or None)
    for label in ("up", "served after up", "preview", "add one", "destroy"):
        line(f"`{label}`, s", lambda row, label=label: row.seconds.get(label), 1)  # type: ignore[misc]
    for program in sorted({program for row in rows for program in row.pulumi}):
        line(f"{program}, MiB", lambda row, key=program: in_mebi(row.pulumi.get(key)))  # type: ignore[misc]
    for part in dict.fromkeys(part for row in rows for part in row.memory):
        line(f"{part}, MiB", lambda row, key=part: in_mebi(row.memory.get(key)))  # type: ignore[misc]
    for part in dict.fromkeys(part for row in rows for part in row.cores):
        line(f"{part}, processors", lambda row, key=part: row.cores.get(key), 3)  # type: ignore[misc]
    problems = [f"{row.services} services: {row.problem}" for row in rows if row.problem]
    return "\n".join([*lines, "", *problems])


def in_mebi(size: float | None) -> float | None:
    return None if size is None else size / MEBI


def run(options: argparse.Namespace, folder: Path) -> list[Row]:
    engine = docker.from_env()
    rows = []
    with running_swarm(options.nodes) as swarm, running_registry(folder) as registry:
        for node in swarm.nodes:
            node.spawn("docker-registry", "serve", folder / "registry.yml", log="registry.log")
        try:
            images = Images(engine, registry, buildkit_build())
            digests = {name: images.build_own(name) for name in IMAGES}
        finally:
            forget_images(engine, registry.address)
        stack = Measured(folder, swarm.manager.client())
        stack.begin(swarm.manager, registry, digests)
        for services in options.services:
            rows.append(measure(swarm, stack, services, options.seconds))
            if rows[-1].problem:
                break
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=[10, 25, 50, 100])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the idle stack's use")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llm-stack-swarm-") as folder:
        rows = run(options, Path(folder))
    print(f"\n{table(rows, options.nodes)}")


if __name__ == "__main__":
    main()
