"""Duration and memory of deployments: `python -m benchmarks.deployment [--services 1 5 20 100]`.

For each number of services, in one run on this machine's engine: preview, first update, preview and
update without a change, and destroy. Compared with a program without resources (Pulumi alone), a
program that only declares the same Docker resources (Pulumi and the provider), and Docker Compose
with the same containers, generated from `docker inspect`.
Every service uses the tiny model; images are built before the measurement. Prints a Markdown table
and removes its resources. Needs `. toolchain/activate`; the comparison needs Docker Compose or the
program given by --compose.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import docker
import yaml
from docker.models.containers import Container

from toolchain.stack import reachability
from toolchain.stack.machine_settings import ENGINE_REGISTRY

ROOT = Path(__file__).parents[1]
PARTS = ("__main__.py", "Pulumi.yaml", "components", "app", "docker", "logs")
PROGRAM = "pulumi-language-python-exec"
UP = ("up", "--yes", "--skip-preview")
# Unset: with it, every run would compile every Python module again.
UNCACHED = "PYTHONDONTWRITEBYTECODE"
REPEATS = 5
SAMPLE_SECONDS = 0.02
EMPTY_PROGRAM = "import pulumi\n\npulumi.export('nothing', True)\n"
PLAIN_PROGRAM = """
import json
import re

import pulumi
import pulumi_docker


def given(value):
    if isinstance(value, dict):
        if "plaintext" in value:
            return pulumi.Output.secret(json.loads(value["plaintext"]))
        return {key: given(one) for key, one in value.items() if key != "__defaults"}
    return [given(one) for one in value] if isinstance(value, list) else value


def argument(key):
    return re.sub("([A-Z])", lambda letter: "_" + letter[1].lower(), key)


for kind, name, inputs in json.load(open("resources.json")):
    values = {argument(key): value for key, value in given(inputs).items()}
    getattr(pulumi_docker, kind)(name, **values)
"""
MODEL = {
    "description": "tiny",
    "bundled": "tiny",
    "context": 512,
    "slots": 1,
    "threads": 1,
}


@dataclass
class Timing:
    """Duration of one command and memory of its program."""

    seconds: float
    program_bytes: int
    """Peak memory of the Python program, in bytes."""


@dataclass
class Row:
    """All figures of one stack."""

    name: str
    resources: int = 0
    containers: int = 0
    timings: dict[str, list[Timing]] = field(default_factory=dict)

    def seconds(self, command: str) -> float:
        return median(timing.seconds for timing in self.timings[command])

    @property
    def memory(self) -> int:
        return max(timing.program_bytes for timings in self.timings.values() for timing in timings)


class Project:
    """A Pulumi project for the benchmark, with local state."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stack = f"bench-{secrets.token_hex(3)}"
        self.program = directory / "program"
        self.program.mkdir()
        state, passphrase = directory / "state", directory / "passphrase"
        state.mkdir()
        passphrase.write_text(secrets.token_hex(16), encoding="utf-8")
        self._environment = {
            **{key: value for key, value in os.environ.items() if key != UNCACHED},
            "PULUMI_BACKEND_URL": state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        shutil.copy2(ROOT / "Pulumi.yaml", self.program)
        (self.program / ".venv").symlink_to(ROOT / ".venv")

    def run(self, *command: str) -> Timing:
        """Run pulumi and measure the peak memory of the program."""
        arguments = ["pulumi", *command, "--stack", self.stack, "--non-interactive"]
        started = time.perf_counter()
        process = subprocess.Popen(
            arguments,
            cwd=self.program,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with _memory_of_program(self.program) as most:
            output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{output}")
        return Timing(time.perf_counter() - started, most())

    def init(self) -> None:
        self.run("stack", "init")

    @property
    def settings(self) -> Path:
        return self.program / f"Pulumi.{self.stack}.yaml"

    def export(self) -> dict[str, Any]:
        """The exported deployment, with secrets in plain text."""
        exported: dict[str, Any] = json.loads(
            subprocess.check_output(
                ["pulumi", "stack", "export", "--show-secrets", "--stack", self.stack],
                cwd=self.program,
                env=self._environment,
            )
        )
        return exported


@contextlib.contextmanager
def _memory_of_program(directory: Path) -> Iterator[Callable[[], int]]:
    """Measures the peak memory of the Python process that runs a project's program."""
    done = threading.Event()
    most = 0

    def look() -> None:
        nonlocal most
        program = None
        # Listing all processes is slow with many containers: search until found, then reuse it.
        while not done.wait(SAMPLE_SECONDS):
            program = program or _program_in(directory)
            if program:
                most = max(most, _peak(program))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield lambda: most
    finally:
        done.set()
        watcher.join()


def _program_in(directory: Path) -> Path | None:
    for process in Path("/proc").iterdir():
        # Processes may end while they are read.
        with contextlib.suppress(OSError):
            if (
                process.name.isdigit()
                and PROGRAM.encode() in (process / "cmdline").read_bytes()
                and (process / "cwd").resolve() == directory.resolve()
            ):
                return process
    return None


def _peak(process: Path) -> int:
    """Bytes; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in (process / "status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def catalogue(services: int) -> dict[str, Any]:
    """A catalogue with one chat and inference services up to the number."""
    models = {f"model-{number:03}": MODEL for number in range(1, services)}
    inference = {
        f"{model}-inference": {
            "kind": "inference",
            "description": model,
            "model": model,
            "memory": "512MiB",
            "cpus": 1,
        }
        for model in models
    }
    chat = {"kind": "chat", "description": "chat", "memory": "512MiB", "cpus": 1}
    return {"models": models, "services": {"chat-interface": chat, **inference}}


def our_project(directory: Path) -> Project:
    """A copy of this project."""
    project = Project(directory)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("node_modules", "__pycache__", "*.log")
            shutil.copytree(source, project.program / part, ignore=ignored)
        else:
            shutil.copy2(source, project.program)
    config = {
        "llm-stack:services": "all",
        "llm-stack:engineSource": (
            "published" if reachability.is_reachable(ENGINE_REGISTRY) else "compiled"
        ),
        # The restarter needs the Docker socket, which the compared containers should not mount.
        "llm-stack:monitor": {"restarts": False},
    }
    project.init()
    content = yaml.safe_load(project.settings.read_text(encoding="utf-8")) or {}
    project.settings.write_text(yaml.safe_dump({**content, "config": config}), encoding="utf-8")
    return project


def plain_project(directory: Path, ours: Project) -> Project:
    """The Docker resources of a deployed stack, declared without components, gates or names of
    ours, in a program of their own. It is given a copy of the state, and makes nothing itself.
    """
    project = Project(directory)
    (project.program / "__main__.py").write_text(PLAIN_PROGRAM, encoding="utf-8")
    for part in ("app", "docker", "logs"):
        (project.program / part).symlink_to(ours.program / part)
    project.init()
    exported = ours.export()
    stack, *others = exported["deployment"]["resources"]
    docker_ones = [one for one in others if one["type"].startswith("docker:")]
    provider = next(one for one in others if one["type"] == "pulumi:providers:docker")
    root = f"urn:pulumi:{project.stack}::llm-stack::"
    stack_urn = f"{root}pulumi:pulumi:Stack::llm-stack-{project.stack}"
    stack |= {"urn": stack_urn, "outputs": {}}
    provider["urn"] = f"{root}{provider['type']}::{provider['urn'].rpartition('::')[2]}"
    declared = []
    for one in docker_ones:
        name = one["urn"].rpartition("::")[2]
        one |= {"urn": f"{root}{one['type']}::{name}", "parent": stack_urn}
        one |= {"provider": f"{provider['urn']}::{provider['id']}"}
        one |= {"dependencies": [], "propertyDependencies": {}}
        one |= {"protect": False, "retainOnDelete": False}
        declared.append((one["type"].rpartition(":")[2], name, one["inputs"]))
    salt = yaml.safe_load(project.settings.read_text(encoding="utf-8"))["encryptionsalt"]
    exported["deployment"] |= {
        "resources": [stack, provider, *docker_ones],
        "secrets_providers": {"type": "passphrase", "state": {"salt": salt}},
    }
    (project.program / "resources.json").write_text(json.dumps(declared), encoding="utf-8")
    state = directory / "copied.json"
    state.write_text(json.dumps(exported), encoding="utf-8")
    project.run("stack", "import", "--file", str(state))
    # Check before updating: the containers belong to the other stack.
    project.run("preview", "--expect-no-changes")
    # Stores source positions; nothing else changes.
    project.run(*UP, "--expect-no-changes")
    return project


def again(*compared: tuple[Project, Row]) -> None:
    """Preview and update without a change, in turns, so that other load affects all alike."""
    for label, command in {"preview again": ("preview",), "up again": UP}.items():
        for _ in range(REPEATS):
            for project, row in compared:
                timing = project.run(*command, "--expect-no-changes")
                row.timings.setdefault(label, []).append(timing)
        for _, row in compared:
            print(f"    {row.name}: {label} {row.seconds(label):.1f} s", flush=True)


def write_catalogue(project: Project, services: int) -> None:
    text = yaml.safe_dump(catalogue(services), sort_keys=False)
    (project.program / "services.yaml").write_text(text, encoding="utf-8")


Beside = Callable[[Row], Sequence[tuple[Project, Row]]]


def life(project: Project, name: str, beside: Beside = lambda row: ()) -> Row:
    """Measure a stack from preview to destroy; `beside` returns what to compare while it is up."""
    row = Row(name)

    def timed(label: str, *command: str) -> None:
        row.timings[label] = [project.run(*command)]
        print(f"    {name}: {label} {row.seconds(label):.1f} s", flush=True)

    timed("preview", "preview")
    timed("up", *UP)
    row.resources = len(project.export()["deployment"]["resources"])
    again((project, row), *beside(row))
    timed("destroy", "destroy", "--yes", "--skip-preview")
    return row


@dataclass(frozen=True)
class ComposeService:
    """One container of the stack as a Compose service."""

    name: str
    definition: dict[str, Any]


def as_compose(container: Container, folder: Path) -> ComposeService:
    """A Compose service with the same image, limits, hardening, settings and files."""
    name = container.labels["llm-stack.service"]
    config, host = container.attrs["Config"], container.attrs["HostConfig"]
    volumes = []
    for mount in container.attrs["Mounts"]:
        if mount["RW"]:
            volumes.append(f"{name}-{Path(mount['Destination']).name}:{mount['Destination']}")
            continue
        files = folder / name / Path(mount["Destination"]).name
        files.mkdir(parents=True)
        chunks, _ = container.get_archive(f"{mount['Destination']}/.")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            archive.extractall(files, filter="data")
        volumes.append(f"{files}:{mount['Destination']}:ro")
    return ComposeService(
        name,
        {
            "image": container.attrs["Image"],
            "user": config["User"],
            "environment": config["Env"],
            "read_only": True,
            "init": True,
            "restart": "unless-stopped",
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "mem_limit": host["Memory"],
            "memswap_limit": host["MemorySwap"],
            "cpus": host["NanoCpus"] / 1e9,
            "tmpfs": ["/tmp:rw,noexec,nosuid,nodev,size=64m"],
            "logging": {"driver": "json-file", "options": host["LogConfig"]["Config"]},
            "stop_grace_period": f"{config['StopTimeout']}s",
            "volumes": volumes,
        },
    )


class Compose:
    """The same containers under Docker Compose."""

    def __init__(self, program: Sequence[str], folder: Path, containers: list[Container]) -> None:
        services = [as_compose(container, folder) for container in containers]
        named = {
            volume.partition(":")[0]: None
            for service in services
            for volume in service.definition["volumes"]
            if not volume.startswith("/")
        }
        self.content: dict[str, Any] = {
            "services": {service.name: service.definition for service in services},
            "volumes": named,
        }
        self._file = folder / "compose.yaml"
        self.write()
        project = f"bench-{secrets.token_hex(3)}"
        self._command = [*program, "--project-name", project, "--file", str(self._file)]

    def write(self) -> None:
        self._file.write_text(yaml.safe_dump(self.content), encoding="utf-8")

    def run(self, *command: str) -> Timing:
        started = time.perf_counter()
        arguments = [*self._command, *command]
        result = subprocess.run(arguments, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{result.stdout}{result.stderr}")
        return Timing(time.perf_counter() - started, 0)

    def life(self, name: str) -> Row:
        row = Row(name)
        try:
            row.timings["up"] = [self.run("up", "--detach", "--wait")]
            row.timings["up again"] = [self.run("up", "--detach", "--wait") for _ in range(REPEATS)]
        finally:
            row.timings["destroy"] = [self.run("down", "--volumes")]
        print(f"    {name}: up {row.seconds('up'):.1f} s", flush=True)
        return row


def compose_program(named: str | None) -> list[str] | None:
    """The command of Docker Compose, or None if it is not installed."""
    for program in ([named],) if named else (["docker", "compose"], ["docker-compose"]):
        if not shutil.which(program[0]):
            continue
        asked = subprocess.run([*program, "version"], capture_output=True, text=True)
        if asked.returncode == 0:
            print(f"Compared with: {asked.stdout.strip().splitlines()[0]}", flush=True)
            return list(program)
    print("Docker Compose is not installed: no comparison.", flush=True)
    return None


def stack_containers(engine: docker.DockerClient, stack: str) -> list[Container]:
    # Ignore containers that are removed between listing and reading.
    label: dict[str, Any] = {"label": f"llm-stack.stack={stack}"}
    found = engine.containers.list(filters=label, ignore_removed=True)
    return [container for container in found if "llm-stack.service" in container.labels]


def remove_volumes(engine: docker.DockerClient, stack: str) -> None:
    """Remove the model volumes, which destroy keeps."""
    for volume in engine.volumes.list(filters={"label": f"llm-stack.stack={stack}"}):
        volume.remove(force=True)


def measure(sizes: Sequence[int], compose: Sequence[str] | None, directory: Path) -> Iterator[Row]:
    """Measure each size, with its comparisons on the same containers."""
    engine = docker.from_env()
    (directory / "empty").mkdir()
    empty = Project(directory / "empty")
    (empty.program / "__main__.py").write_text(EMPTY_PROGRAM, encoding="utf-8")
    empty.init()
    yield life(empty, "empty program")
    empty.run(*UP)
    (directory / "ours").mkdir()
    ours = our_project(directory / "ours")
    write_catalogue(ours, 2)
    print("    building the images", flush=True)
    try:
        ours.run(*UP)
        ours.run("destroy", "--yes", "--skip-preview")
        for size in sizes:
            write_catalogue(ours, size)
            folder = directory / f"beside-{size}"
            (folder / "plain").mkdir(parents=True)
            yield from one_size(ours, empty, size, compose, folder, engine)
    finally:
        ours.run("destroy", "--yes", "--skip-preview")
        remove_volumes(engine, ours.stack)
        kept = f"llm-stack-kept-{ours.stack}"
        for image in engine.images.list(name=kept):
            for tag in image.tags:
                # The image may also have tags of other stacks.
                if tag.startswith(f"{kept}:"):
                    engine.images.remove(tag)


def one_size(
    ours: Project,
    empty: Project,
    size: int,
    compose: Sequence[str] | None,
    folder: Path,
    engine: docker.DockerClient,
) -> list[Row]:
    """Measure the project, an empty program, the same resources without components, and Compose."""
    floor = Row(f"empty program, with {size} running")
    plainly = Row(f"same resources, no components, {size}")
    made: list[Compose] = []

    def beside(row: Row) -> Sequence[tuple[Project, Row]]:
        containers = stack_containers(engine, ours.stack)
        row.containers = len(containers)
        if compose:
            for container in containers:
                engine.images.get(container.attrs["Image"]).tag(
                    f"llm-stack-kept-{ours.stack}", container.attrs["Image"][7:19]
                )
            made.append(Compose(compose, folder, containers))
        plain = plain_project(folder / "plain", ours)
        plainly.resources = len(plain.export()["deployment"]["resources"])
        return [(empty, floor), (plain, plainly)]

    row = life(ours, f"this project, {size}", beside)
    remove_volumes(engine, ours.stack)
    return [row, floor, plainly, *(one.life(f"compose, {size}") for one in made)]


def table(rows: Sequence[Row]) -> str:
    """A Markdown table of seconds and memory."""
    commands = ("preview", "up", "preview again", "up again", "destroy")
    lines = [
        f"| stack | containers | resources | {' | '.join(commands)} | program MB |",
        f"|---|---:|---:|{'---:|' * len(commands)}---:|",
    ]
    for row in rows:
        times = (f"{row.seconds(c):.1f}" if c in row.timings else "-" for c in commands)
        memory = f"{row.memory / 1e6:.0f}" if row.memory else "-"
        lines.append(
            f"| {row.name} | {row.containers or '-'} | {row.resources or '-'} "
            f"| {' | '.join(times)} | {memory} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument("--compose", help="command of Docker Compose, if not on PATH")
    options = parser.parse_args()
    compose = compose_program(options.compose)
    with tempfile.TemporaryDirectory(prefix="llm-stack-bench-") as directory:
        rows = list(measure(options.services, compose, Path(directory)))
    print(f"\nSeconds; the median of {REPEATS} for repeated commands.\n")
    print(table(rows))


if __name__ == "__main__":
    main()
