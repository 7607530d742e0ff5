"""The job that fetches a model, apart from the container that serves it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.recording_engine import Graph, StackRunner

STACK = {"services": ["chat-interface", "phi-inference"], "monitor": {"socketGroup": 999}}
TOKEN = {"hfToken": "hf_" + "a" * 30}


@pytest.fixture
def graph(run_program: StackRunner) -> Graph:
    return run_program(STACK, TOKEN)


def model_mount(inputs: dict[str, Any]) -> dict[str, Any]:
    (mount,) = [one for one in inputs["volumes"] if one["containerPath"] == "/models"]
    return dict(mount)


def test_the_server_can_only_read_what_the_job_has_fetched(graph: Graph) -> None:
    server, job = graph.running["phi-inference"].inputs, graph.running["phi-inference-fetch"].inputs
    assert model_mount(server)["readOnly"] is True
    assert model_mount(job)["readOnly"] is False
    assert model_mount(server)["volumeName"] == model_mount(job)["volumeName"]
    assert "ROLE=serve" in server["envs"]
    assert "ROLE=fetch" in job["envs"]
    assert server["image"] == job["image"]


def test_only_the_job_has_the_token_of_the_hub(graph: Graph) -> None:
    mounted = {
        name: "/run/secrets" in [one["containerPath"] for one in container.inputs["volumes"]]
        for name, container in graph.running.items()
        if name.startswith("phi-inference")
    }
    assert mounted == {"phi-inference": False, "phi-inference-fetch": True}


def test_the_job_ends_before_the_server_starts(graph: Graph) -> None:
    job = graph.running["phi-inference-fetch"].inputs
    assert (job["restart"], job["mustRun"]) == ("no", False)
    assert "phi-inference-fetch-gate" in graph.running["phi-inference"].depends_on


def test_nothing_watches_or_restarts_the_job(graph: Graph) -> None:
    for service in ("monitor", "restarter"):
        listed = str(graph.settings(service))
        assert "phi-inference" in listed
        assert "phi-inference-fetch" not in listed


def test_a_model_in_the_image_needs_no_job(run_program: StackRunner) -> None:
    graph = run_program({**STACK, "placeholderModel": "smollm2-135m"})
    assert "phi-inference-fetch" not in graph.running
    assert model_mount(graph.running["phi-inference"].inputs)["readOnly"] is False


def test_each_node_of_a_swarm_fetches_for_itself(run_program: StackRunner) -> None:
    swarm = {"orchestrator": "swarm", "swarm": {"singleNode": True}}
    graph = run_program({"services": ["chat-interface", "phi-inference"], **swarm}, TOKEN)
    assert set(graph.of("Service")) == {
        "chat-interface",
        "phi-inference",
        "monitor",
        "chat-interface-lists",
        "monitor-lists",
    }
