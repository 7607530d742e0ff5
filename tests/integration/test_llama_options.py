"""The list of llama-server's options, compared with the llama-server of the inference image.

INFERENCE_IMAGE names an image that is already built; otherwise it is built here.
"""

import json
import os
import subprocess
from collections.abc import Callable

import docker
import pytest

from components.config.llama_help import DATA_FILE, document, parse
from components.config.llama_options import arguments, problems
from tests.integration.conftest import build_arguments

LLAMA_SERVER = "/opt/llama/llama-server"


@pytest.fixture(scope="module")
def inference_image(buildkit: Callable[..., subprocess.CompletedProcess[str]]) -> str:
    if given := os.environ.get("INFERENCE_IMAGE"):
        return given
    tag = "llm-stack-test/inference"
    buildkit("--progress=plain", "-t", tag, *build_arguments("inference-tiny"))
    return tag


def run(engine: docker.DockerClient, image: str, *options: str) -> str:
    """The output of llama-server, which must exit with 0."""
    output: bytes = engine.containers.run(
        image, list(options), entrypoint=LLAMA_SERVER, network_mode="none", remove=True, stderr=True
    )
    return output.decode()


def test_the_list_has_the_options_of_the_image(
    engine: docker.DockerClient, inference_image: str
) -> None:
    build = json.loads(DATA_FILE.read_text())["build"]
    current = document(build, parse(run(engine, inference_image, "--help")))
    assert current == DATA_FILE.read_text(), (
        f"run: docker run --rm --entrypoint {LLAMA_SERVER} {inference_image} --help"
        f" | .venv/bin/python -m components.config.llama_help {build}"
    )


def test_llama_server_accepts_what_the_check_accepts(
    engine: docker.DockerClient, inference_image: str
) -> None:
    options = {
        "--n-cpu-moe": 12,
        "--load-mode": "none",
        "--fit": False,
        "--swa-full": True,
        "--temp": 0.7,
        "--no-warmup": True,
        "--spec-type": "ngram-mod,draft-mtp",
        "--reasoning-format": "auto",
        "--numa": "isolate",
    }
    assert problems(options) == []
    assert "version: " in run(engine, inference_image, *arguments(options), "--version")
