"""The gateway's settings: gateway.json has the settings of the stack and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from app.chat.settings import GatewaySettings
from tests.doubles.recording_engine import Graph, StackRunner

STACK: dict[str, Any] = {
    "services": ["chat-interface", "phi-inference"],
    "monitor": {"socketGroup": 999},
}


def gateway(graph: Graph) -> dict[str, Any]:
    return graph.settings("chat-interface")


def test_only_configured_settings_are_written(run_program: StackRunner) -> None:
    assert gateway(run_program(STACK)).keys() == {"models", "requires_keys", "drain_seconds"}


def test_the_page_of_the_monitor_is_known_by_its_port_and_its_url(
    run_program: StackRunner,
) -> None:
    monitor = {"socketGroup": 999, "alerts": {"pageUrl": "https://status.example.com/"}}
    ports = {"monitor": 8090}
    written = gateway(run_program({**STACK, "monitor": monitor, "hostPorts": ports}))
    page = GatewaySettings.model_validate(written).status_page
    assert page is not None
    assert (page.url, page.port) == ("https://status.example.com/", 8090)


def test_every_section_can_be_set(run_program: StackRunner) -> None:
    settings = {
        "limits": {"queueSeconds": 60, "attempts": 2},
        "keepAlive": {"interval": 30},
        "breaker": {"coolDownSeconds": 5},
        "health": {"intervalWhenDown": 2},
        "corsOrigins": ["https://app.example.com", "app://obsidian.md", "chrome-extension://*"],
        "hosts": ["chat.example.net", "*.lan.example:8443"],
    }
    written = gateway(run_program({**STACK, "gateway": settings}))
    read = GatewaySettings.model_validate(written)
    assert (read.limits.queue_seconds, read.limits.attempts) == (60, 2)
    assert read.keep_alive.interval == 30
    assert read.breaker.cool_down_seconds == 5
    assert read.health.interval_when_down == 2
    assert read.cors_origins == (
        "https://app.example.com",
        "app://obsidian.md",
        "chrome-extension://*",
    )
    assert read.hosts == ("chat.example.net", "*.lan.example:8443")


def test_the_hostnames_of_its_tunnels_are_names_of_the_gateway(run_program: StackRunner) -> None:
    quick = {
        **STACK,
        "tunnel": {"mode": "quick", "access": "public"},
        "gateway": {"hosts": ["chat.example.net"]},
    }
    assert gateway(run_program(quick))["hosts"] == ["*.trycloudflare.com", "chat.example.net"]


def test_an_invalid_setting_is_refused_at_preview(run_program: StackRunner) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_program({**STACK, "gateway": {"limits": {"attempts": 11}}})
    assert str(refusal.value) == (
        "Pulumi.test.yaml: llm-stack:gateway.limits.attempts: is too large; found 11; allowed: at "
        "most 10; run: pulumi config set --path 'llm-stack:gateway.limits.attempts' <value>"
    )


CATALOGUE = """
models: {}
services:
  chat-interface: {kind: chat, description: Chat, memory: 1GiB, cpus: 1}
  vllm:
    kind: container
    description: vLLM
    build: carrier   # an image of the project in place of a published one
    port: 8000
    serves: {tasks: [chat, completion], api_key: shared, health: /health, concurrency: 64}
  ollama: {kind: container, build: carrier, port: 11434, serves: {}}
  far:
    kind: external
    description: A provider
    url: https://example.com/openai
    serves: {models: [a, b], api_key: far, path: /v2}
"""
SERVERS = {"services": ["chat-interface", "vllm", "ollama", "far"], "monitor": {"restarts": False}}
KEYS = {"secrets": json.dumps({"shared": "sk-shared", "far": "sk-far"})}


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The services.yaml of the program that a test runs."""
    path = tmp_path / "services.yaml"
    path.write_text(CATALOGUE)
    monkeypatch.setattr("components.plan.loading.CATALOGUE", path)
    return path


@pytest.mark.usefixtures("catalogue")
def test_services_with_serves_are_servers_of_the_gateway(run_program: StackRunner) -> None:
    graph = run_program(SERVERS, KEYS)
    written = gateway(graph)
    assert written["servers"] == [
        {
            "name": "vllm",
            "description": "vLLM",
            "urls": ["http://vllm:8000"],
            "path": "/v1",
            "models": None,
            "api_key_file": "upstream-vllm",
            "concurrency": 64,
            "tasks": ["chat", "completion"],
            "health": "/health",
            "external": False,
        },
        {
            "name": "ollama",
            "description": "",
            "urls": ["http://ollama:11434"],
            "path": "/v1",
            "models": None,
            "api_key_file": None,
            "concurrency": 8,
            "tasks": ["chat"],
            "health": None,
            "external": False,
        },
        {
            "name": "far",
            "description": "A provider",
            "urls": ["https://example.com/openai"],
            "path": "/v2",
            "models": ["a", "b"],
            "api_key_file": "upstream-far",
            "concurrency": 8,
            "tasks": ["chat"],
            "health": None,
            "external": True,
        },
    ]
    GatewaySettings.model_validate(written)


@pytest.mark.usefixtures("catalogue")
def test_their_keys_are_secret_files_of_the_gateway(run_program: StackRunner) -> None:
    graph = run_program(SERVERS, KEYS)
    written = graph.of("Stash")["chat-interface-secrets"]
    files = {"upstream-vllm": "sk-shared", "upstream-far": "sk-far"}
    assert written.inputs["input"]["files"] == files
    for secret in files.values():
        assert graph.is_only_in_watched_files(secret, "chat-interface-secrets")


@pytest.mark.usefixtures("catalogue")
def test_the_monitor_does_not_blame_the_gateway_for_its_servers(run_program: StackRunner) -> None:
    graph = run_program(SERVERS, KEYS)
    checks = {one["name"]: one for one in graph.settings("monitor")["services"]}
    # The external one has a key, which the monitor does not have.
    assert checks.keys() == {"chat-interface", "vllm", "ollama"}
    assert checks["chat-interface"]["depends_on"] == ["vllm", "ollama"]


@pytest.mark.usefixtures("catalogue")
def test_a_key_that_the_stack_does_not_have_is_refused(run_program: StackRunner) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_program(SERVERS, {"secrets": json.dumps({"shared": "x", "fare": "y"})})
    assert str(refusal.value) == (
        "services.yaml:16: services.far.serves.api_key: the stack does not have the secret far; "
        "did you mean 'fare'? allowed: fare, shared; run: pulumi config set --secret --path "
        "llm-stack:secrets.far"
    )


def test_a_container_without_a_port_cannot_serve(run_program: StackRunner, catalogue: Path) -> None:
    catalogue.write_text(CATALOGUE.replace("port: 11434, ", ""))
    with pytest.raises(pulumi.RunError, match=r"services\.ollama: has serves but no port"):
        run_program(SERVERS, KEYS)


def test_github_models_is_an_entry_to_enable_by_name(run_program: StackRunner) -> None:
    services = [*STACK["services"], "github-models"]
    secrets = {"secrets": json.dumps({"github-models": "github_pat_x"})}
    written = gateway(run_program({**STACK, "services": services}, secrets))
    (server,) = GatewaySettings.model_validate(written).servers
    assert server.external
    assert server.models == ("openai/gpt-4.1-mini",)
    assert server.api_key_file == "upstream-github-models"


def test_the_former_settings_of_github_models_are_refused_with_what_replaces_them(
    run_program: StackRunner,
) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_program({**STACK, "gateway": {"githubModels": {"models": ["a"]}}})
    assert str(refusal.value) == (
        "Pulumi.test.yaml: llm-stack:gateway.githubModels: is now the service github-models of "
        "catalog/github-models.yaml, with url and models there; run: pulumi config rm --path "
        "llm-stack:gateway.githubModels, and add github-models to llm-stack:services"
    )


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "in plain text"])
def test_the_former_secret_of_github_models_is_refused_with_the_commands_that_move_it(
    run_program: StackRunner, encrypted: bool
) -> None:
    token = {"ghModelsToken": "ghp_x"}
    with pytest.raises(pulumi.RunError) as refusal:
        run_program(STACK if encrypted else {**STACK, **token}, token if encrypted else None)
    assert str(refusal.value) == (
        "Pulumi.test.yaml: llm-stack:ghModelsToken: is now secrets.github-models, for the service "
        "github-models of catalog/github-models.yaml; run: pulumi config get ghModelsToken | "
        "pulumi config set --secret --path llm-stack:secrets.github-models && pulumi config rm "
        "ghModelsToken"
    )
