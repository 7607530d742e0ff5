"""What a user reads when a setting is wrong; every refusal comes before any resource exists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from components.config.catalogue import Catalog, load_catalog

from components.config.schema import SettingsError
from components.config.stack_settings import load_settings
from components.plan.plan import Plan, make_plan
from tests.unit.components.conftest import PROJECT_ROOT, StackRunner

Planner = Callable[..., Plan]

GOOD_CATALOG = (PROJECT_ROOT / "services.yaml").read_text(encoding="utf-8")


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    """Make a plan from stack settings, and from the catalogue with one text replaced."""

    def make(
        *,
        secrets: dict[str, str] | None = None,
        replace: tuple[str, str] = ("", ""),
        **config: Any,
    ) -> Plan:
        catalogue = tmp_path / "services.yaml"
        assert replace[0] in GOOD_CATALOG
        catalogue.write_text(GOOD_CATALOG.replace(*replace, 1), encoding="utf-8")
        values = {"services": ["chat-interface", "phi-inference"], **config, **(secrets or {})}
        encoded = {
            f"llm-stack:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
            if value is not None
        }
        pulumi.runtime.set_all_config(encoded, [f"llm-stack:{key}" for key in secrets or {}])
        return make_plan("dev", *load_settings("dev"), load_catalog(catalogue))

    return make


# Each row: what is wrong, and the whole text that the user reads.
SETTINGS = [
    (
        {"services": ["chat-interface", "fi-inference"]},
        "Pulumi.dev.yaml: llm-stack:services.1: services.yaml has no such service; found "
        "'fi-inference', did you mean 'phi-inference'? allowed: chat-interface, llama-inference, "
        "phi-inference, qwen-inference",
    ),
    (
        {"services": ["chat-interface", "chat-interface"]},
        "Pulumi.dev.yaml: llm-stack:services: 'chat-interface' is named 2 times; allowed: once",
    ),
    (
        {"hostPorts": {"chat-interface": 8080, "monitor": 8080}},
        "Pulumi.dev.yaml: llm-stack:hostPorts: port 8080 is used by chat-interface and monitor; "
        "allowed: a port for each",
    ),
    (
        {"hostPorts": {"chat-interface": 80800}},
        "Pulumi.dev.yaml: llm-stack:hostPorts.chat-interface: Input should be less than or equal to "
        "65535; found 80800",
    ),
    (
        {"hostPorts": {"lama-inference": 8001}},
        "Pulumi.dev.yaml: llm-stack:hostPorts.lama-inference: there is no such service; "
        "found 8001, did you mean 'llama-inference'? allowed: chat-interface, llama-inference, "
        "monitor, phi-inference, qwen-inference",
    ),
    (
        {"servces": ["chat-interface"]},
        "Pulumi.dev.yaml: llm-stack:(top level): unknown key 'servces'; did you mean 'services'? "
        "allowed: baseImages, caFile, engineSource, hostPorts, imageDigests, keepVersions, modelHub, "
        "monitor, network, operationTimeout, orchestrator, placeholderModel, protect, proxy, registry, "
        "replicas, services, swarm, tunnel, updates",
    ),
    (
        {"updates": {"phi-inference": "stop-first"}},
        "Pulumi.dev.yaml: llm-stack:updates.phi-inference: Input should be 'start-first' or "
        "'recreate'; found 'stop-first'",
    ),
    (
        {"updates": {"qwen-inference": "recreate"}},
        "Pulumi.dev.yaml: llm-stack:updates.qwen-inference: this stack runs no such service; found "
        "'recreate', did you mean 'phi-inference'? allowed: chat-interface, phi-inference",
    ),
    (
        {"standInModel": "tiny"},
        "Pulumi.dev.yaml: llm-stack:(top level): standInModel is now placeholderModel; run: pulumi "
        "config rm standInModel && pulumi config set placeholderModel smollm2-135m",
    ),
    (
        {"placeholderModel": "phi-3-mini"},
        "Pulumi.dev.yaml: llm-stack:placeholderModel: is not a model that works without a hub; found "
        "'phi-3-mini', allowed: smollm2-135m",
    ),
    (
        {"engineSource": "download"},
        "Pulumi.dev.yaml: llm-stack:engineSource: Input should be 'published' or 'compiled'; "
        "found 'download'",
    ),
    (
        {"operationTimeout": "soon"},
        "Pulumi.dev.yaml: llm-stack:operationTimeout: is not a time limit; allowed: a whole number "
        "with m or h, such as 90m or 24h; found 'soon'",
    ),
    (
        {"monitor": {"interval": 0}},
        "Pulumi.dev.yaml: llm-stack:monitor.interval: Input should be greater than or equal to 1; "
        "found 0",
    ),
    (
        {"monitor": {"intervall": 10}},
        "Pulumi.dev.yaml: llm-stack:monitor: unknown key 'intervall'; did you mean 'interval'? "
        "allowed: alerts, interval, restarts, socketGroup",
    ),
    (
        {"hfToken": "not-a-token"},
        "Pulumi.dev.yaml: llm-stack:hfToken: is stored in clear; take it back where it came from, "
        "then run: pulumi config set --secret hfToken",
    ),
    (
        {"services": None},
        "Pulumi.dev.yaml: llm-stack:services: Field required",
    ),
]

ELSEWHERE = "ssh://deploy@berlin.example.com"


def test_images_that_would_be_built_on_another_engine_are_refused(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "services": ["chat-interface"],
        "monitor": {"restarts": False},
        "docker:host": ELSEWHERE,
    }
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with pytest.raises(pulumi.RunError) as refusal:
        run_program(config, stack="berlin")
    assert str(refusal.value) == (
        "Pulumi.berlin.yaml: docker:host: images would be built on another engine, as DOCKER_HOST of "
        f"this shell does not name the same; found '{ELSEWHERE}', run: export "
        f"DOCKER_HOST={ELSEWHERE}, or say in llm-stack:imageDigests which the registry holds of "
        "carrier, chat, monitor"
    )
    monkeypatch.setenv("DOCKER_HOST", ELSEWHERE)
    assert "chat-interface" in run_program(config, stack="berlin").running


CATALOGUE = [
    (
        ("memory: 512MiB", "memory: 512 elephants"),
        "services.yaml:{line}: services.chat-interface.memory: is no memory size; allowed: a number "
        "with MiB or GiB, such as 512MiB or 4GiB, at least 64MiB; found '512 elephants'",
    ),
    (
        ("memory: 512MiB", "memory: 512"),
        "services.yaml:{line}: services.chat-interface.memory: is too small or has no unit; allowed: "
        "a number with MiB or GiB, such as 512MiB or 4GiB, at least 64MiB; found 512",
    ),
    (
        ("memory: 7GiB", "memory: 2GiB"),
        "services.yaml: services.phi-inference.memory: 2048MiB cannot hold model 'phi-3-mini'; "
        "allowed: at least 2539MiB",
    ),
    (
        ("public: true", "pubic: true"),
        "services.yaml:{line}: services.chat-interface: unknown key 'pubic'; did you mean 'public'? "
        "allowed: cpus, description, expect, kind, memory, port, public, start_timeout",
    ),
    (
        ("model: phi-3-mini", "model: phi-4-mini"),
        "services.yaml: services.phi-inference.model: the catalogue has no such model; found "
        "'phi-4-mini', did you mean 'phi-3-mini'? allowed: llama-3.2-3b, phi-3-mini, qwen2.5-1.5b, "
        "smollm2-135m",
    ),
    (
        ("model: phi-3-mini", "port: 8001\n    model: phi-3-mini"),
        "services.yaml:{line}: services.phi-inference.port: is where the container tells its status; "
        "allowed: any other port; found 8001",
    ),
    (
        ("kind: chat", "kind: chatbot"),
        "services.yaml:{line}: services.chat-interface: Input tag 'chatbot' found using 'kind' does "
        "not match any of the expected tags: 'chat', 'inference', 'container'",
    ),
    (
        ("  qwen-inference:", "  phi-inference:"),
        "services.yaml:{line}: the key 'phi-inference' is given twice",
    ),
    (
        ("    sha256_origin: published\n", ""),
        "services.yaml:{line}: models.phi-3-mini: needs sha256_origin; allowed: downloaded, published",
    ),
]


@pytest.mark.parametrize(("config", "message"), SETTINGS)
def test_a_wrong_stack_setting_is_told_with_file_key_value_and_what_is_allowed(
    plan: Planner, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(**config)
    assert str(refusal.value) == message


@pytest.mark.parametrize(("replace", "message"), CATALOGUE)
def test_a_wrong_catalogue_is_told_with_its_line(
    plan: Planner, replace: tuple[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(replace=replace)
    broken = GOOD_CATALOG.replace(*replace, 1)
    told = str(refusal.value).splitlines()[0]
    wanted, _, _ = message.partition("{line}")
    assert told.startswith(wanted)
    if "{line}" in message:
        line = int(told.split(":")[1])
        pointed_at = broken.splitlines()[line - 1]
        assert told.split(":", 2)[2] == message.split("{line}:", 1)[1]
        key = replace[1].strip().partition(":")[0] or "phi-3-mini"
        assert pointed_at.strip().partition(":")[0] in {key, "chat-interface"}


def test_every_problem_is_told_at_once(plan: Planner) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(services=["one-inference", "two-inference"], hostPorts={"three": 1, "four": 1})
    assert len(refusal.value.problems) == 5


def test_an_encrypted_setting_that_is_no_secret_is_refused(plan: Planner) -> None:
    with pytest.raises(SettingsError, match=r"llm-stack:hfTokn: is encrypted, .*'hfToken'"):
        plan(secrets={"hfTokn": "not-a-token"})


def test_broken_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    broken = tmp_path / "services.yaml"
    broken.write_text("models: [", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"services\.yaml:1: is not YAML: expected"):
        load_catalog(broken)


def test_a_missing_catalogue_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"services\.yaml: cannot be read: No such file"):
        load_catalog(tmp_path / "services.yaml")


def test_the_shipped_catalogue_is_good() -> None:
    catalog = load_catalog(PROJECT_ROOT / "services.yaml")
    assert isinstance(catalog, Catalog)
    assert {"chat-interface", "phi-inference", "qwen-inference", "llama-inference"} <= set(
        catalog.services
    )


def test_a_port_given_as_text_by_the_command_line_is_understood(plan: Planner) -> None:
    assert plan(hostPorts={"chat-interface": "8080"}).host_port("chat-interface") == 8080


@pytest.mark.parametrize("stack", ["Berlin", "my_stack", "prod.eu", "a-", 64 * "a"])
def test_a_stack_whose_name_no_image_can_have_is_refused(
    run_program: StackRunner, stack: str
) -> None:
    with pytest.raises(pulumi.RunError, match="images are named after it"):
        run_program({"services": ["chat-interface"]}, stack=stack)


def test_the_restarter_is_given_the_socket_of_the_engine_that_the_shell_names(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    graph = run_program({"services": ["chat-interface"], "monitor": {"socketGroup": 999}})
    (mount,) = [
        volume
        for volume in graph.running["restarter"].inputs["volumes"]
        if volume["containerPath"].endswith("docker.sock")
    ]
    assert mount["hostPath"] == "/run/user/1000/docker.sock"
