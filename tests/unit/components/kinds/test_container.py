"""Services of kind `container`: a sidecar or a custom program from a catalogue entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pulumi
import pytest

from app.monitor.settings import Settings
from components.kinds.catalogue import load_catalogue
from tests.doubles.recording_engine import Graph, StackRunner
from tests.unit.components.conftest import PROJECT_ROOT

# An image of the project instead of a user's image.
ENTRY = """
  cache:
    kind: container
    description: A cache
    build: carrier
    port: 6379
    memory: 64MiB
    cpus: 0.5
"""
STACK = {"services": ["chat-interface", "cache"], "monitor": {"socketGroup": 999}}
Run = Callable[..., Graph]


@pytest.fixture
def run_with(run_program: StackRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(entry: str, **config: object) -> Graph:
        path = tmp_path / "services.yaml"
        text = (PROJECT_ROOT / "services.yaml").read_text(encoding="utf-8")
        path.write_text(text + entry, encoding="utf-8")
        monkeypatch.setattr(
            "components.plan.loading.load_catalogue", lambda *_: load_catalogue(path)
        )
        return run_program({**STACK, **config})

    return run


def check_of(graph: Graph) -> dict[str, object]:
    services = graph.settings("monitor")["services"]
    (cache,) = [service for service in services if service["name"] == "cache"]
    return {key: cache[key] for key in ("kind", "url", "depends_on")}


def test_one_entry_declares_a_container_with_a_health_check(run_with: Run) -> None:
    graph = run_with(ENTRY + "    environment: {SIZE: '48'}\n    stop_grace: 20\n")
    cache = graph.running["cache"].inputs
    assert cache["image"] == "sha256:carrier-build"
    assert cache["envs"] == ["SIZE=48"]
    assert cache["stopTimeout"] == 20
    assert cache["readOnly"] is True
    assert "cache-gate" in graph.of("Stash")
    assert check_of(graph) == {"kind": "tcp", "url": "tcp://cache:6379", "depends_on": []}


def test_it_can_be_checked_by_http(run_with: Run) -> None:
    graph = run_with(ENTRY + "    health: /healthz\n")
    assert check_of(graph)["kind"] == "http"
    assert check_of(graph)["url"] == "http://cache:6379/healthz"


def test_an_image_without_dockerfile_is_refused(run_with: Run) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_with(ENTRY.replace("build: carrier", "build: carier"))
    file, _, text = str(refusal.value).partition(": ")
    assert file.startswith("services.yaml:")
    assert text == (
        "services.cache.build: there is no docker/carier.Dockerfile; found "
        "'carier'; did you mean 'carrier'? allowed: carrier, chat, cloudflared, inference, "
        "monitor, restarter"
    )


def test_it_is_public_only_behind_access(run_with: Run) -> None:
    with pytest.raises(pulumi.RunError, match="only the gateway checks API keys; found 'key'"):
        run_with(
            ENTRY,
            tunnel={
                "mode": "named",
                "baseDomain": "example.com",
                "accountId": "a" * 32,
                "zoneId": "b" * 32,
                "access": "public",
                "services": {"cache": {"mode": "named", "access": "key"}},
            },
        )


def test_conditions_on_its_responses_are_passed_to_the_monitor(run_with: Run) -> None:
    conditions = "{status: [200, 204], max_seconds: 2, body_contains: ok, json: {queue.depth: 0}}"
    graph = run_with(ENTRY + f"    health: /live\n    expect: {conditions}\n")
    services = Settings.model_validate(graph.settings("monitor")).services
    (cache,) = [service for service in services if service.name == "cache"]
    assert cache.expect.status == (200, 204)
    assert (cache.expect.max_seconds, cache.expect.body_contains) == (2, "ok")
    assert cache.expect.json_values == {"queue.depth": 0}


def test_conditions_on_a_tcp_check_are_refused(run_with: Run) -> None:
    with pytest.raises(
        pulumi.RunError,
        match="its health check is tcp, without a response; allowed: expect with health:",
    ):
        run_with(ENTRY + "    expect: {max_seconds: 2}\n")


def test_a_model_can_only_have_a_condition_on_its_response_time(run_with: Run) -> None:
    entry = (PROJECT_ROOT / "services.yaml").read_text(encoding="utf-8").partition("  qwen-inf")[2]
    model = "\n  other-inf" + entry.partition("  llama-inf")[0]
    run_with(f"{model}    expect: {{max_seconds: 2}}\n", services=["chat-interface"])
    with pytest.raises(pulumi.RunError, match="a model cannot meet; allowed: max_seconds alone"):
        run_with(f"{model}    expect: {{status: [204]}}\n", services=["chat-interface"])
