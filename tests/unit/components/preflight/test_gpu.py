"""Services with GPUs: their image and runtime, and what is refused before any change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.config.stack_settings import BaseImages, EngineSource
from components.engine.info import EngineInfo, read_info
from components.images.image_sources import InferenceImage, LlamaEngine, image_sources
from components.kinds.catalogue import Catalogue, load_catalogue
from components.preflight.gpu import has_gpus
from tests.doubles.recording_engine import Graph, StackRunner
from tests.unit.components.conftest import PROJECT_ROOT

CUDA = InferenceImage(cuda=True).name
COMPILED = LlamaEngine(EngineSource.COMPILED)

ENTRY = "    model: phi-3-mini\n"
STACK = {"services": ["phi-inference", "qwen-inference"], "monitor": {"socketGroup": 999}}


def catalogue(tmp_path: Path, more: str) -> Catalogue:
    text = (PROJECT_ROOT / "services.yaml").read_text(encoding="utf-8")
    path = tmp_path / "services.yaml"
    path.write_text(text.replace(ENTRY, ENTRY + more, 1), encoding="utf-8")
    return load_catalogue(path)


Run = Any


@pytest.fixture
def run_with_gpus(run_program: StackRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(more: str, info: EngineInfo | None) -> Graph:
        known = catalogue(tmp_path, more)
        monkeypatch.setattr("components.plan.loading.load_catalogue", lambda *_: known)
        monkeypatch.setattr("components.preflight.checks.ask_engine", lambda host: info)
        return run_program(STACK)

    return run


NVIDIA = EngineInfo(runtimes=("nvidia", "runc"))


def test_a_service_with_gpus_runs_the_cuda_engine(run_with_gpus: Run) -> None:
    graph = run_with_gpus("    gpus: all\n    gpu_layers: 20\n", NVIDIA)
    phi, qwen = graph.running["phi-inference"].inputs, graph.running["qwen-inference"].inputs
    assert phi["gpus"] == "all"
    assert "LLAMA_ARG_N_GPU_LAYERS=20" in phi["envs"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in phi["envs"]
    assert phi["image"] == "sha256:inference-cuda-build"
    build = graph.of("RemoteImage")["inference-cuda-build"].inputs["build"]
    assert build["dockerfile"] == "../docker/inference.Dockerfile"
    assert build["buildArgs"]["ENGINE"] == "cuda"
    assert build["buildArgs"]["LLAMA_CUDA_IMAGE"].startswith(
        "ghcr.io/ggml-org/llama.cpp:server-cuda"
    )
    assert "gpus" not in qwen, "the others stay on processors"
    assert qwen["image"] == "sha256:inference-build"
    assert not [env for env in qwen["envs"] if "GPU" in env or "NVIDIA" in env]


def test_what_the_driver_compiles_survives_a_restart(run_with_gpus: Run) -> None:
    graph = run_with_gpus("    gpus: all\n", NVIDIA)
    phi = graph.running["phi-inference"].inputs
    (cache,) = [one for one in phi["volumes"] if one["containerPath"] == "/var/cache/cuda"]
    assert cache["readOnly"] is False
    assert "CUDA_CACHE_PATH=/var/cache/cuda" in phi["envs"]
    owner = graph.of("Stash")["phi-inference-cache-owner"].inputs["input"]
    assert owner["owner"] == phi["user"]


def test_gpus_are_chosen_by_their_ids(run_with_gpus: Run) -> None:
    graph = run_with_gpus("    gpus: ['0', GPU-3a23c669]\n", NVIDIA)
    assert graph.running["phi-inference"].inputs["gpus"] == '"device=0,GPU-3a23c669"'


def test_the_number_of_gpus_is_passed_to_the_container(run_with_gpus: Run) -> None:
    graph = run_with_gpus("    gpus: 2\n", NVIDIA)
    assert graph.running["phi-inference"].inputs["gpus"] == "2"


def test_an_engine_without_gpus_is_refused(run_with_gpus: Run) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_with_gpus("    gpus: 1\n", EngineInfo(runtimes=("runc",)))
    file, _, text = str(refusal.value).partition(": ")
    assert file.startswith("services.yaml:")
    assert text == (
        "services.phi-inference.gpus: the engine cannot provide GPUs; its "
        "runtimes are runc; found '1'; allowed: an engine with NVIDIA's container toolkit, or no "
        "gpus"
    )


@pytest.mark.parametrize(
    ("gpus", "found"),
    [("3", "3"), ("['1', '7', GPU-none]", "7, GPU-none"), ("2", None), ("['0', GPU-3a]", None)],
)
def test_more_gpus_than_the_engine_lists_are_refused(
    run_with_gpus: Run, gpus: str, found: str | None
) -> None:
    devices = tuple(f"nvidia.com/gpu={one}" for one in ("0", "1", "GPU-3a", "GPU-4b", "all"))
    info = EngineInfo(devices=devices)
    if found is None:
        assert run_with_gpus(f"    gpus: {gpus}\n", info).running["phi-inference"].inputs["gpus"]
        return
    with pytest.raises(pulumi.RunError) as refusal:
        run_with_gpus(f"    gpus: {gpus}\n", info)
    assert str(refusal.value).partition("gpus: ")[2] == (
        f"the engine's machine does not have these GPUs; found '{found}'; allowed: its 2, by "
        "number: 0, 1; run: docker info --format '{{json .DiscoveredDevices}}'"
    )


def test_an_unreachable_engine_is_left_to_the_provider(run_with_gpus: Run) -> None:
    assert run_with_gpus("    gpus: 1\n", None).running["phi-inference"].inputs["gpus"] == "1"


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, True),
        ({"Runtimes": None, "DiscoveredDevices": [{"ID": "nvidia.com/gpu=0"}]}, True),
        ({"Runtimes": {"runc": {}}, "DiscoveredDevices": None}, False),
    ],
)
def test_an_engine_with_gpus_is_detected_by_its_info(info: dict[str, Any], found: bool) -> None:
    assert has_gpus(read_info(info)) is found


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            "    gpus: 0\n",
            "services.phi-inference.gpus: is not a valid number of GPUs; found 0; allowed: all, "
            "1 to 16, or a list of ids",
        ),
        (
            "    gpus: some\n",
            "services.phi-inference.gpus: is not a valid number of GPUs; found 'some'; allowed: "
            "all, 1 to 16, or a list of ids",
        ),
        (
            "    gpus: yes\n",
            "services.phi-inference.gpus: is not a valid number of GPUs; found True; allowed: "
            "all, 1 to 16, or a list of ids",
        ),
        (
            "    gpu_layers: 20\n",
            "services.phi-inference: has gpu_layers: 20 but no GPU; allowed: gpu_layers with "
            "gpus: all, or a number of them",
        ),
    ],
)
def test_an_invalid_number_is_refused_with_its_line(
    tmp_path: Path, more: str, expected: str
) -> None:
    (problem,) = catalogue(tmp_path, more).problems
    assert problem.line
    assert str(replace(problem, line=None)).removeprefix("services.yaml: ") == expected


def test_only_the_cuda_image_of_the_shared_dockerfile_changes_with_its_base() -> None:
    other = BaseImages(cuda="nvidia/cuda:13.0.0-devel-ubuntu22.04")
    cuda = image_sources(CUDA, BaseImages(), COMPILED)
    assert cuda.dockerfile == image_sources("inference", BaseImages()).dockerfile
    assert cuda.digest != image_sources(CUDA, other, COMPILED).digest
    assert (
        image_sources("inference", BaseImages(), COMPILED).digest
        == image_sources("inference", other, COMPILED).digest
    )
