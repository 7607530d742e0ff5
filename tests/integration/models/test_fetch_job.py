"""A model that a job fetches from a hub, and that the server beside it can only read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import docker
import pytest

from tests.integration.conftest import PROJECT_ROOT, StackUnderTest, build_arguments

Build = Callable[..., subprocess.CompletedProcess[str]]
IMAGE = "llm-stack-test/inference:latest"
SERVER, JOB = "tiny-inference", "tiny-inference-fetch"
# The hub is a service of the same stack, of an image that only this engine has.
ENTRIES = f"""
models:
  tiny-of-hub:
    description: Random text, from a hub
    repository: someone/tiny-gguf
    file: tiny.gguf
    revision: main
    sha256_origin: unknown
    context: 512
    slots: 1
services:
  hub:
    kind: container
    image: {IMAGE}
    entrypoint: python3 /model_hub.py
    command: 8080 someone/tiny-gguf hub-storage /opt/models/tiny.gguf
    aliases: [hub-storage]
    volumes: ["./catalog/model_hub.py:/model_hub.py"]
    healthcheck: {{disable: true}}
    port: 8080
    memory: 256MiB
  {SERVER}:
    kind: inference
    description: Random text
    model: tiny-of-hub
    memory: 512MiB
    cpus: 1
    start_timeout: 120
"""


@pytest.fixture(scope="module")
def fetched(stack: StackUnderTest, buildkit: Build) -> StackUnderTest:
    """A stack that has fetched its model."""
    buildkit("-t", IMAGE, *build_arguments("inference-tiny"))
    hub = PROJECT_ROOT / "tests" / "doubles" / "model_hub.py"
    shutil.copy(hub, stack.project / "catalog" / hub.name)
    (stack.project / "services.yaml").write_text(ENTRIES, encoding="utf-8")
    # The hub first: a job that meets none waits longer between its attempts.
    stack.configure(services=["hub"])
    stack.up()
    stack.configure(services=["hub", SERVER], modelHub="http://hub:8080")
    stack.up()
    return stack


def test_the_server_serves_what_the_job_has_fetched(fetched: StackUnderTest) -> None:
    containers = fetched.wait_until_healthy()
    assert containers[JOB].attrs["State"]["ExitCode"] == 0
    assert b"is in place" in containers[JOB].logs()
    assert SERVER in containers
    fetched.pulumi("preview", "--expect-no-changes")


def test_the_server_cannot_change_the_model(fetched: StackUnderTest) -> None:
    script = "import glob; open(glob.glob('/models/*/main/tiny.gguf')[0], 'ab')"
    result = fetched.containers()[SERVER].exec_run(["python3", "-c", script])
    assert result.exit_code != 0
    assert isinstance(result.output, bytes)
    assert b"Read-only file system" in result.output


def test_a_second_life_of_the_stack_fetches_nothing(
    fetched: StackUnderTest, engine: docker.DockerClient
) -> None:
    fetched.pulumi("destroy", "--yes", "--skip-preview")
    fetched.up()
    log = fetched.containers()[JOB].logs()
    assert b"is already there" in log
    assert b"fetching" not in log
