"""Errors for wrong settings, all of them before any resource exists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.config.loading import load_settings
from components.config.problems import SettingsError
from components.kinds.catalogue import Catalogue, load_catalogue
from components.plan.loading import load_plan
from components.plan.plan import Plan
from components.plan.validation import make_plan
from tests.doubles.recording_engine import StackRunner
from tests.unit.components.conftest import PROJECT_ROOT

Planner = Callable[..., Plan]

GOOD_CATALOG = (PROJECT_ROOT / "services.yaml").read_text(encoding="utf-8")


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    """Make a plan from stack settings and the catalogue with one text replaced."""

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
        return make_plan("dev", load_settings("dev"), load_catalogue(catalogue))

    return make


# Each row: the wrong settings, and the whole message.
SETTINGS = [
    (
        {"services": ["chat-interface", "fi-inference"]},
        "Pulumi.dev.yaml: llm-stack:services.1: is not a service of services.yaml or catalog/; found "
        "'fi-inference'; did you mean 'phi-inference'? allowed: chat-interface, llama-inference, "
        "phi-inference, qwen-inference",
    ),
    (
        {"services": ["chat-interface", "chat-interface"]},
        "Pulumi.dev.yaml: llm-stack:services: 'chat-interface' is listed 2 times; allowed: once",
    ),
    (
        {"hostPorts": {"chat-interface": 8080, "monitor": 8080}},
        "Pulumi.dev.yaml: llm-stack:hostPorts.monitor: the port is also that of chat-interface; "
        "found 8080; allowed: a port for each; run: pulumi config set --path "
        "llm-stack:hostPorts.monitor <port>",
    ),
    (
        {"hostPorts": {"chat-interface": 80800}},
        "Pulumi.dev.yaml: llm-stack:hostPorts.chat-interface: is too large; found 80800; "
        "allowed: at most 65535; run: pulumi config set --path "
        "'llm-stack:hostPorts.chat-interface' <value>",
    ),
    (
        {"hostPorts": {"lama-inference": 8001}},
        "Pulumi.dev.yaml: llm-stack:hostPorts.lama-inference: is not a service of this stack; "
        "did you mean 'llama-inference'? allowed: chat-interface, llama-inference, monitor, "
        "phi-inference, qwen-inference; run: pulumi config rm --path "
        "'llm-stack:hostPorts.lama-inference'",
    ),
    (
        {"servces": ["chat-interface"]},
        "Pulumi.dev.yaml: llm-stack:servces: unknown key; did you mean 'services'? allowed: "
        "baseImages, caFile, defaults, engineSource, gateway, hostPorts, imageDigests, "
        "keepVersions, modelHub, monitor, network, operationTimeout, orchestrator, "
        "placeholderModel, protect, proxy, registry, replicas, services, swarm, tunnel, updates, "
        "values; run: pulumi config rm --path 'llm-stack:servces'",
    ),
    (
        {"updates": {"phi-inference": "stop-first"}},
        "Pulumi.dev.yaml: llm-stack:updates.phi-inference: is not a valid value; found "
        "'stop-first'; did you mean 'start-first'? allowed: recreate, start-first; run: pulumi "
        "config set --path 'llm-stack:updates.phi-inference' <value>",
    ),
    (
        {"updates": {"qwen-inference": "recreate"}},
        "Pulumi.dev.yaml: llm-stack:updates.qwen-inference: is not a service of this stack; did "
        "you mean 'phi-inference'? allowed: chat-interface, phi-inference; run: pulumi config rm "
        "--path 'llm-stack:updates.qwen-inference'",
    ),
    (
        {"standInModel": "tiny"},
        "Pulumi.dev.yaml: llm-stack:standInModel: is now placeholderModel; run: pulumi config rm "
        "standInModel && pulumi config set placeholderModel smollm2-135m",
    ),
    (
        {"placeholderModel": "phi-3-mini"},
        "Pulumi.dev.yaml: llm-stack:placeholderModel: is not a model that works without a hub; "
        "found 'phi-3-mini'; allowed: smollm2-135m",
    ),
    (
        {"engineSource": "download"},
        "Pulumi.dev.yaml: llm-stack:engineSource: is not a valid value; found 'download'; "
        "allowed: compiled, published; run: pulumi config set --path 'llm-stack:engineSource' "
        "<value>",
    ),
    (
        {"operationTimeout": "soon"},
        "Pulumi.dev.yaml: llm-stack:operationTimeout: is not a valid time limit; found 'soon'; "
        "allowed: a whole number with m or h, such as 90m or 24h; run: pulumi config set --path "
        "'llm-stack:operationTimeout' <value>",
    ),
    (
        {"monitor": {"interval": 0}},
        "Pulumi.dev.yaml: llm-stack:monitor.interval: is too small; found 0; allowed: at least "
        "1; run: pulumi config set --path 'llm-stack:monitor.interval' <value>",
    ),
    (
        {"monitor": {"intervall": 10}},
        "Pulumi.dev.yaml: llm-stack:monitor.intervall: unknown key; did you mean 'interval'? "
        "allowed: alerts, hosts, interval, maintenance, publicChecks, restartPolicy, restarts, socketGroup, thresholds; run: "
        "pulumi config rm --path 'llm-stack:monitor.intervall'",
    ),
    (
        {"hfToken": "not-a-token"},
        "Pulumi.dev.yaml: llm-stack:hfToken: is stored in plain text; revoke it at its issuer; "
        "run: pulumi config set --secret hfToken",
    ),
    (
        {"services": None},
        "Pulumi.dev.yaml: llm-stack:services: is missing; run: pulumi config set --path "
        "'llm-stack:services' <value>",
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
        "Pulumi.berlin.yaml: docker:host: images would be built on another engine, the one of "
        f"DOCKER_HOST in this shell; found '{ELSEWHERE}'; allowed: the same in both, or "
        "llm-stack:imageDigests for carrier, chat, monitor; "
        f"run: export DOCKER_HOST={ELSEWHERE}"
    )
    monkeypatch.setenv("DOCKER_HOST", ELSEWHERE)
    assert "chat-interface" in run_program(config, stack="berlin").running


CATALOGUE = [
    (
        ("memory: 512MiB", "memory: 512 elephants"),
        "services.yaml:{line}: services.chat-interface.memory: is not a valid memory size; found "
        "'512 elephants'; allowed: a number with MiB or GiB, at least 64MiB, such as memory: 4GiB",
    ),
    (
        ("memory: 512MiB", "memory: 512"),
        "services.yaml:{line}: services.chat-interface.memory: is not a valid memory size; found "
        "512; allowed: a number with MiB or GiB, at least 64MiB, such as memory: 4GiB",
    ),
    (
        ("memory: 7GiB", "memory: 2GiB"),
        "services.yaml:{line}: services.phi-inference.memory: cannot hold the model 'phi-3-mini', "
        "which needs weights 2283 MiB, KV cache of 2 slots of 4096 tokens 3072 MiB, buffers and "
        "llama-server 239 MiB; found '2048MiB'; allowed: at least 6215MiB",
    ),
    (
        ("public: true", "pubic: true"),
        "services.yaml:{line}: services.chat-interface.pubic: unknown key; did you mean "
        "'public'? allowed: cpus, description, expect, kind, memory, port, public, start_timeout",
    ),
    (
        ("model: phi-3-mini", "model: phi-4-mini"),
        "services.yaml:{line}: services.phi-inference.model: is not a model of the catalogue; found "
        "'phi-4-mini'; did you mean 'phi-3-mini'? allowed: llama-3.2-3b, phi-3-mini, qwen2.5-1.5b, "
        "smollm2-135m",
    ),
    (
        ("model: phi-3-mini", "port: 8001\n    model: phi-3-mini"),
        "services.yaml:{line}: services.phi-inference.port: is the container's status port; "
        "found 8001; allowed: any other port",
    ),
    (
        ("kind: chat", "kind: chatbot"),
        "services.yaml:{line}: services.chat-interface.kind: is not a valid kind; found "
        "'chatbot'; did you mean 'chat'? allowed: chat, container, external, inference",
    ),
    (
        ("  qwen-inference:", "  phi-inference:"),
        "services.yaml:{line}: the key 'phi-inference' is given twice",
    ),
    (
        ("    sha256_origin: published\n", ""),
        "services.yaml:{line}: models.phi-3-mini: does not have sha256_origin; allowed: "
        "sha256_origin: downloaded or published",
    ),
]


@pytest.mark.parametrize(("config", "message"), SETTINGS)
def test_a_wrong_stack_setting_is_reported_with_file_key_and_allowed_values(
    plan: Planner, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(**config)
    assert str(refusal.value) == message


@pytest.mark.parametrize(("replace", "message"), CATALOGUE)
def test_a_wrong_catalogue_is_reported_with_its_line(
    plan: Planner, replace: tuple[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(replace=replace)
    broken = GOOD_CATALOG.replace(*replace, 1)
    message_line = str(refusal.value).splitlines()[0]
    wanted, _, _ = message.partition("{line}")
    assert message_line.startswith(wanted)
    if "{line}" in message:
        line = int(message_line.split(":")[1])
        pointed_at = broken.splitlines()[line - 1]
        assert message_line.split(":", 2)[2] == message.split("{line}:", 1)[1]
        key = replace[1].strip().partition(":")[0] or "phi-3-mini"
        assert pointed_at.strip().partition(":")[0] in {key, "chat-interface"}


# Errors that used to be misleading, each with the right message.
ONCE_MISLEADING: list[tuple[dict[str, Any], str]] = [
    (
        {"services": ["chat-interface", "Phi"]},
        "Pulumi.dev.yaml: llm-stack:services.1: is not a valid name; found 'Phi'; allowed: 2 to 40 "
        "of a-z, 0-9 and -, beginning with a letter, not ending in -; run: pulumi config set --path "
        "'llm-stack:services[1]' <value>",
    ),
    (
        {"services": "al"},
        "Pulumi.dev.yaml: llm-stack:services: is not a list; found 'al'; allowed: all, or a list of "
        "services; run: pulumi config set llm-stack:services "
        '\'["chat-interface", "phi-inference"]\'',
    ),
    (
        # What Pulumi makes of a list that was set as JSON text and then by an index.
        {"services": [None, "chat-interface"]},
        "Pulumi.dev.yaml: llm-stack:services.0: has no value; allowed: text, in quotes; run: pulumi "
        "config set --path 'llm-stack:services[0]' <value>",
    ),
    (
        {"monitor": "30"},
        "Pulumi.dev.yaml: llm-stack:monitor: is not a mapping; found '30'; allowed: alerts, hosts, "
        "interval, maintenance, publicChecks, restartPolicy, restarts, socketGroup, thresholds; run: pulumi config set --path "
        "'llm-stack:monitor' <value>",
    ),
]


@pytest.mark.parametrize(("config", "message"), ONCE_MISLEADING)
def test_a_problem_names_the_users_key_and_value(
    plan: Planner, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(**config)
    assert str(refusal.value) == message


def test_one_invalid_name_does_not_hide_that_another_is_unknown(plan: Planner) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(services=["Phi", "chat-interface", "phi-inferenc"])
    invalid, unknown = str(refusal.value).splitlines()
    assert "llm-stack:services.0: is not a valid name; found 'Phi'" in invalid
    assert "llm-stack:services.2: is not a service of services.yaml or catalog/" in unknown
    assert "did you mean 'phi-inference'?" in unknown


SIDECAR = """
  sidecar:
    kind: container
    description: A sidecar
    build: carrier
    port: 80
    memory: {memory}
    cpus: {cpus}
    environment: {environment}
"""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"memory": "3 GB"},
            "memory: is not a valid memory size; found '3 GB'; allowed: a number with MiB or GiB, "
            "at least 64MiB, such as memory: 4GiB",
        ),
        (
            {"cpus": "0"},
            "cpus: is not a valid number of processors; found 0; allowed: a number above 0, at most "
            "256, such as cpus: 2",
        ),
        (
            {"environment": "{chat: [a]}"},
            "environment.chat: is not text; found ['a']; allowed: text, in quotes",
        ),
    ],
)
def test_a_wrong_value_of_a_container_is_reported_under_its_whole_key(
    tmp_path: Path, values: dict[str, str], message: str
) -> None:
    good = {"memory": "64MiB", "cpus": "0.5", "environment": "{}"}
    path = tmp_path / "services.yaml"
    path.write_text(GOOD_CATALOG + SIDECAR.format(**{**good, **values}), encoding="utf-8")
    (problem,) = load_catalogue(path).problems
    line = path.read_text(encoding="utf-8").splitlines()[(problem.line or 0) - 1]
    assert str(problem).split(": ", 1)[1] == f"services.sidecar.{message}"
    assert line.strip().startswith(next(iter(values)))


def test_five_problems_in_three_files_are_five_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third file is one that a setting refers to."""
    stack = tmp_path / "Pulumi.dev.yaml"
    stack.write_text(
        "config:\n"
        "  llm-stack:services: [chat-interface, fi-inference]\n"
        "  llm-stack:monitor:\n"
        "    interval: 0\n"
        "  llm-stack:caFile: company.pem\n"
        "  llm-stack:hfToken: not-a-token\n",
        encoding="utf-8",
    )
    (tmp_path / "company.pem").write_text("-----BEGIN NOTHING-----\n", encoding="utf-8")
    text = GOOD_CATALOG.replace("memory: 512MiB", "memory: 3 GB")
    (tmp_path / "services.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load(stack.read_text(encoding="utf-8"))["config"]
    encoded = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    pulumi.runtime.set_all_config(encoded, [])
    with pytest.raises(SettingsError) as refusal:
        load_plan("dev")
    lines = str(refusal.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "Pulumi.dev.yaml:6",
        "Pulumi.dev.yaml:4",
        "Pulumi.dev.yaml:5",
        f"services.yaml:{text.splitlines().index('    memory: 3 GB') + 1}",
        "Pulumi.dev.yaml:2",
    ]
    assert lines[2] == (
        "Pulumi.dev.yaml:5: llm-stack:caFile: does not hold a certificate "
        "(-----BEGIN CERTIFICATE-----); found 'company.pem'; allowed: the path of a PEM file with "
        "certificates of authorities; run: pulumi config set --path 'llm-stack:caFile' <value>"
    )


def test_a_wrong_value_is_not_reported_as_missing_too(plan: Planner) -> None:
    tunnel = {"mode": "named", "access": "public", "accountId": "mine"}
    with pytest.raises(SettingsError) as refusal:
        plan(secrets={"cloudflareTunnelToken-phi-inference": "no"}, tunnel=tunnel)
    assert [problem.key for problem in refusal.value.problems].count(
        "llm-stack:tunnel.accountId"
    ) == 1


def test_all_problems_are_reported_at_once(plan: Planner) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(services=["one-inference", "two-inference"], hostPorts={"three": 1, "four": 1})
    assert len(refusal.value.problems) == 5


def test_an_encrypted_setting_that_is_not_a_secret_is_refused(plan: Planner) -> None:
    with pytest.raises(SettingsError, match=r"llm-stack:hfTokn: is encrypted, .*'hfToken'"):
        plan(secrets={"hfTokn": "not-a-token"})


def test_broken_yaml_is_reported_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "services.yaml"
    broken.write_text("models: [", encoding="utf-8")
    (problem,) = load_catalogue(broken).problems
    assert str(problem).startswith("services.yaml:1: is not YAML: expected")


def test_a_catalogue_that_cannot_be_read_is_the_only_problem(plan: Planner) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(replace=("models:", "models: ["), hostPorts={"chat-interface": 8080})
    assert [problem.source for problem in refusal.value.problems] == ["services.yaml"]


def test_a_missing_catalogue_is_reported(tmp_path: Path) -> None:
    (problem,) = load_catalogue(tmp_path / "services.yaml").problems
    assert str(problem) == "services.yaml: cannot be read: No such file or directory"


def test_the_shipped_catalogue_is_valid() -> None:
    catalog = load_catalogue(PROJECT_ROOT / "services.yaml")
    assert isinstance(catalog, Catalogue)
    assert {"chat-interface", "phi-inference", "qwen-inference", "llama-inference"} <= set(
        catalog.services
    )


def test_a_port_set_as_text_on_the_command_line_is_accepted(plan: Planner) -> None:
    assert plan(hostPorts={"chat-interface": "8080"}).host_port("chat-interface") == 8080


@pytest.mark.parametrize("stack", ["Berlin", "my_stack", "prod.eu", "a-", 64 * "a"])
def test_a_stack_name_that_is_invalid_in_image_names_is_refused(
    run_program: StackRunner, stack: str
) -> None:
    with pytest.raises(pulumi.RunError, match="images are named after it"):
        run_program({"services": ["chat-interface"]}, stack=stack)


def test_the_restarter_mounts_the_socket_of_docker_host(
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
