"""The measure: compose files as people publish them, with 88 services, against the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.config.stack_secrets import StackSecrets
from components.config.stack_settings import StackSettings
from components.kinds.catalogue import Catalogue, StackValues, load_catalogue
from components.kinds.service import LocalService
from components.plan.service_problems import service_problems
from toolchain.compose.catalogue_file import catalogue_text
from toolchain.compose.importing import Import, import_project
from toolchain.compose.project import load_project
from toolchain.compose.validation import make_copy

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "tests" / "data" / "compose"
# By file: how many services it has.
SERVICES = {
    "chat-plane": 14,
    "gpustack-worker": 1,
    "langfuse": 6,
    "librechat": 7,
    "llama-swap": 1,
    "llamacpp-vulkan": 6,
    "llm-servers-all": 10,
    "localai": 1,
    "n8n-starter": 10,
    "ollama-tunnel": 3,
    "open-webui": 2,
    "qdrant-cluster": 3,
    "rag-tei": 4,
    "vllm-fleet": 10,
    "vllm-monitoring": 2,
    "workstation": 8,
}
# What keeps a service from being carried, by its keys.
OBSTACLES = {
    ("gpustack-worker", "gpustack-worker"): {
        "privileged",
        "network_mode",
        "volumes /var/run/docker.sock",
    },
    ("workstation", "llama-swap"): {"volumes /var/run/docker.sock"},
}
# Tunnels, which the stack itself has.
REPLACED = {
    ("llm-servers-all", "chat-cloudflared"),
    ("llm-servers-all", "phi-cloudflared"),
    ("llm-servers-all", "qwen-cloudflared"),
    ("ollama-tunnel", "tunnel"),
}
LEAST_SHARE = 0.93


def imported(name: str) -> Import:
    variables = FOLDER / f"{name}.variables"
    project = load_project(
        [FOLDER / f"{name}.yml"],
        environment={"HOME": "/home/someone"},
        env_files=[variables] if variables.exists() else [],
        name=f"{name}-compose",
    )
    return import_project(project, ROOT)


def loaded(done: Import, copy: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """The catalogue with all that the import has made."""
    content = done.content()
    path = ROOT / "catalog" / f"{done.project.name}.yaml"
    text = catalogue_text(content, [FOLDER / "compose.yml"])
    make_copy(ROOT, copy, path, text, done.copies, content["services"])
    monkeypatch.chdir(copy)
    stack = StackValues(
        values=dict.fromkeys(done.values.needed, "value"), enabled=tuple(content["services"])
    )
    return load_catalogue(Path("services.yaml"), stack)


def together(done: Import, catalogue: Catalogue) -> list[str]:
    """What keeps the services from running in one stack, with one profile of those that exclude
    each other."""
    enabled = tuple(
        one.name
        for one in done.written
        if done.project.name != "n8n-starter-compose" or one.profiles in {(), ("cpu",)}
    )
    services = {
        name: service
        for name in enabled
        if isinstance(service := catalogue.services[name], LocalService)
    }
    # Their values are not looked at.
    set_by_command: Any = {secret.name: None for secret in done.secrets if secret.generate is None}
    found = service_problems(
        services,
        enabled,
        catalogue,
        StackSettings(services=enabled),
        StackSecrets(named=set_by_command),
    )
    return [str(problem) for problem in found]


def outcomes() -> Iterator[tuple[str, str, set[str] | None, bool]]:
    for name in SERVICES:
        for one in imported(name).outcomes:
            yield name, one.original, {loss.key for loss in one.obstacles}, one.replaced is not None


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_an_entry_that_the_catalogue_accepts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = imported(name)
    assert len(done.outcomes) == SERVICES[name]
    catalogue = loaded(done, tmp_path, monkeypatch)
    assert [str(problem) for problem in catalogue.problems] == []
    services = done.content()["services"]
    assert set(services) <= set(catalogue.services)
    assert together(done, catalogue) == []
    without = {service for file, service in {*OBSTACLES, *REPLACED} if file == name}
    assert {one.original for one in done.outcomes if one.name not in services} == without


def test_the_share_of_services_that_are_carried() -> None:
    found = list(outcomes())
    assert len(found) == 88
    assert {(file, name): keys for file, name, keys, _ in found if keys} == OBSTACLES
    assert {(file, name) for file, name, _, replaced in found if replaced} == REPLACED
    share = 1 - len(OBSTACLES) / len(found)
    assert share >= LEAST_SHARE


def test_the_report_says_what_takes_the_place_of_a_tunnel() -> None:
    for name in ("llm-servers-all", "ollama-tunnel"):
        for one in imported(name).outcomes:
            if one.replaced:
                assert "llm-stack:tunnel.services" in one.replaced.instead


def test_stores_and_their_clients_share_passwords() -> None:
    done = imported("langfuse")
    services = {one.original: one.entry for one in done.written}
    web, redis = services["langfuse-web"], services["redis"]
    assert web["secret_environment"]["REDIS_AUTH"] in redis["secret_environment"].values()
    assert web["secret_environment"]["DATABASE_URL"].startswith("postgresql://postgres:${")


def test_services_of_profiles_are_all_carried() -> None:
    done = imported("n8n-starter")
    profiles = {one.original: one.profiles for one in done.written}
    assert profiles["ollama-gpu-amd"] == ("gpu-amd",)
    assert profiles["n8n"] == ()
