"""Fixtures for stacks on the real Docker engine, each with its own name, state and network."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import yaml
from docker.models.containers import Container

from components.config.stack_settings import BaseImages, EngineSource
from components.images.image_sources import LlamaEngine, image_sources
from components.runtime.docker.health import EarlyCheck, check_command
from tests.doubles.running_gateway import running, settings
from tests.integration.inference import address, inference
from toolchain.stack import reachability
from toolchain.stack.machine_settings import ENGINE_REGISTRY

PROJECT_ROOT = Path(__file__).parents[2]
UP_SECONDS = 1500  # The first build may compile llama-server.
# A model that loads at once and generates random text; users' catalogues do not have it.
TINY_MODEL = """\
  tiny:
    description: Generates random text, for tests
    bundled: tiny
    context: 2048
    slots: 2
    threads: 1    # the model is too small for a second thread
"""


@functools.cache
def engine_source() -> EngineSource:
    """The source of llama-server on this machine, chosen as by `./dev up`."""
    published = reachability.is_reachable(ENGINE_REGISTRY)
    return EngineSource.PUBLISHED if published else EngineSource.COMPILED


def build_arguments(image: str) -> list[str]:
    """Arguments of `docker build` to build an image as a stack on this machine would."""
    sources = image_sources(image, BaseImages(), LlamaEngine(engine_source(), "host"))
    given = [f"--build-arg={key}={value}" for key, value in sources.build_args.items()]
    dockerfile, context = PROJECT_ROOT / sources.dockerfile, PROJECT_ROOT / sources.context
    return [*given, "--file", str(dockerfile), str(context)]


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def buildkit() -> Build:
    """Run `docker build` with a client that supports BuildKit."""
    return buildkit_build()


def buildkit_build() -> Build:
    """Find a client that supports BuildKit (from 23.0 on, a plugin); return its `docker build`."""
    clients = [
        path
        for folder in os.environ["PATH"].split(os.pathsep)
        if (path := shutil.which("docker", path=folder))
    ]
    for client in clients:
        version = subprocess.run(
            [client, "version", "--format", "{{.Client.Version}}"], capture_output=True, text=True
        ).stdout
        plugin = subprocess.run([client, "buildx", "version"], capture_output=True).returncode
        if plugin == 0 or int(version.partition(".")[0] or 99) < 23:
            break
    else:
        pytest.fail(f"no docker client with BuildKit among {clients}")

    def build(
        *args: str, check: bool = True, docker_config: Path | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """:param docker_config: a folder with the logins of registries."""
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        if docker_config:
            environment["DOCKER_CONFIG"] = str(docker_config)
        return subprocess.run(
            [client, "build", *args], check=check, text=True, env=environment, **options
        )

    return build


@pytest.fixture(scope="session")
def llama_server(
    engine: docker.DockerClient,
    buildkit: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The URL of a llama-server with the tiny model and two slots, limited to half a core.

    Uses the image in INFERENCE_IMAGE if set; otherwise builds it.
    """
    image = os.environ.get("INFERENCE_IMAGE")
    if image is None:
        image = "llm-stack-test/inference"
        buildkit("-t", image, *build_arguments("inference-tiny"))
    with inference(engine, image, tmp_path_factory.mktemp("inference")) as starting:
        container = starting.start(
            {"path": "/opt/models/tiny.gguf"},
            context=2048,
            run={"nano_cpus": 500_000_000},
        )
        yield address(container)


@pytest.fixture
async def gateway(llama_server: str) -> AsyncIterator[str]:
    """The URL of a gateway with that server as its model `m`."""
    async with running(settings(llama_server)) as url, httpx.AsyncClient() as client:
        async with asyncio.timeout(120):
            while (await client.get(f"{url}/ready")).status_code != 200:
                pass
        yield url


@dataclass
class StackUnderTest:
    """A copy of the project with a separate stack, run by the real `pulumi`."""

    directory: Path
    engine: docker.DockerClient
    name: str = field(default_factory=lambda: f"it-{secrets.token_hex(3)}")

    def __post_init__(self) -> None:
        self.project = self.directory / "project"
        state = self.directory / "state"
        state.mkdir()
        passphrase = self.directory / "passphrase"
        passphrase.write_text(secrets.token_hex(16), encoding="utf-8")
        copy_project(self.project)
        self.environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_STACK": self.name,
        }
        self.pulumi("stack", "init", self.name)

    def configure(self, **settings: Any) -> None:
        """Replace the settings in the stack's file."""
        path = self.project / f"Pulumi.{self.name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}
        settings = {"engineSource": engine_source().value, **settings}
        content["config"] = {f"llm-stack:{key}": value for key, value in settings.items()}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    def pulumi(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run pulumi; a failure shows all that it printed."""
        result = subprocess.run(
            ["pulumi", *args, "--non-interactive"],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
        )
        if check and result.returncode:
            pytest.fail(f"pulumi {' '.join(args)}:\n{result.stdout}\n{result.stderr}")
        return result

    def up(self, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--yes", "--skip-preview", check=check)

    def planned_changes(self) -> dict[str, str]:
        """The changes of a preview, by `Type::name`."""
        steps = json.loads(self.pulumi("preview", "--json").stdout)["steps"]
        return {
            "::".join(step["urn"].split("::")[-2:]).split("$")[-1]: step["op"]
            for step in steps
            if step["op"] != "same"
        }

    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json").stdout)
        return outputs

    def containers(self, *, running: bool = True) -> dict[str, Container]:
        """Containers of this stack by service; with `running`, without the file carriers."""
        label = f"llm-stack.stack={self.name}"
        # A carrier of files may end between the list and the request for its details.
        found = self.engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return {
            container.labels.get("llm-stack.service") or str(container.name): container
            for container in found
            if not running or "llm-stack.service" in container.labels
        }

    def wait_until_healthy(self) -> dict[str, Container]:
        """Wait until each container's health check has passed; return the running containers.

        Runs the checks as `pulumi up` does: the engine waits 30 s before its first one.
        """
        containers = self.containers()
        deadline = time.monotonic() + 120
        for name, container in containers.items():
            # A job, or a program without a health check, has none.
            if check_command(container.attrs) is None or container.status == "exited":
                continue
            check = EarlyCheck(self.engine, container)
            while not check.passes():
                assert time.monotonic() < deadline, name
                time.sleep(0.1)
                container.reload()
        return containers

    def wait_for_the_engines_checks(self) -> dict[str, Container]:
        """Wait until the engine's own runs of the health checks have passed."""
        deadline = time.monotonic() + 120
        while True:
            containers = self.containers()
            health = {
                name: container.attrs["State"]["Health"]["Status"]
                for name, container in containers.items()
                # A job, or a program without a health check, has none.
                if "Health" in container.attrs["State"]
            }
            if set(health.values()) == {"healthy"}:
                return containers
            assert time.monotonic() < deadline, health
            time.sleep(0.5)

    def remove(self) -> None:
        """Remove what is left of the stack on the engine, also of one that is partly deployed.

        By label: `pulumi destroy` waits until each service has drained.
        """
        label: dict[str, Any] = {"label": f"llm-stack.stack={self.name}"}
        for container in self.engine.containers.list(all=True, filters=label, ignore_removed=True):
            # A temporary container may remove itself at the same time.
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        for volume in self.engine.volumes.list(filters=label):
            volume.remove(force=True)
        for network in self.engine.networks.list(filters=label):
            network.remove()
        self.forget_versions()

    def forget_versions(self) -> None:
        """Remove the stack's image tags, except those of a registry."""
        prefix = f"llm-stack-{self.name}/"
        for image in self.engine.images.list(filters={"reference": f"{prefix}*"}):
            for tag in image.tags:
                if tag.startswith(prefix):
                    self.engine.images.remove(tag, force=True)


def rollback(
    stack: StackUnderTest, *images: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `./dev rollback`; a failure shows all that it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "toolchain", "rollback", "--stack", stack.name, *images],
        cwd=stack.project,
        env=stack.environment,
        capture_output=True,
        text=True,
    )
    if check and result.returncode:
        pytest.fail(f"rollback:\n{result.stdout}\n{result.stderr}")
    return result


def copy_project(target: Path) -> None:
    """Copy the files that git tracks, with one more model."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT_ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = PROJECT_ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    catalogue = target / "services.yaml"
    text = catalogue.read_text(encoding="utf-8")
    catalogue.write_text(text.replace("models:\n", f"models:\n{TINY_MODEL}", 1), encoding="utf-8")
    (target / ".venv").symlink_to(PROJECT_ROOT / ".venv")
    (target / ".state").mkdir()
    (target / ".state" / "bin").symlink_to(PROJECT_ROOT / ".state" / "bin")


def forget_images(engine: docker.DockerClient, *prefixes: str) -> None:
    """Remove the names of images that begin with one of these, and what has no other name."""
    # The list alone: Docker's client would inspect each image, which another test may remove.
    for image in engine.api.images():
        for name in [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]:
            if name.startswith(prefixes):
                # Removing an image's last tag removes its digests too.
                with contextlib.suppress(docker.errors.ImageNotFound):
                    engine.images.remove(name, force=True)


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient
) -> Iterator[StackUnderTest]:
    """An empty stack for the module; always destroyed afterwards."""
    under_test = StackUnderTest(tmp_path_factory.mktemp("stack"), engine)
    try:
        yield under_test
    finally:
        under_test.remove()
