"""The policy rules, applied to the program's resources and to one violation of each rule."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from policy.rules import RULES, Resource, Rule
from tests.doubles.recording_engine import Registration, StackRunner

PROD = {"services": "all", "monitor": {"socketGroup": 999}}
# A production stack with every feature: managed and existing tunnels, Access, secrets, a registry.
WHOLE = {
    **PROD,
    "tunnel": {
        "mode": "named",
        "baseDomain": "example.com",
        "accountId": "a" * 32,
        "zoneId": "b" * 32,
        "access": "access",
        "people": {"domains": ["example.com"]},
        "replicas": 2,
    },
    "registry": {
        "server": "registry.example.com",
        "repository": "team/llm-stack",
        "username": "robot",
    },
}
SECRETS = {
    "hfToken": "hf_" + "a" * 30,
    "apiKeys": '{"keys": []}',
    "registryPassword": "ghp_" + "b" * 30,
    "cloudflare:apiToken": "t" * 40,
}
DEV = {**PROD, "hostPorts": {"chat-interface": 8080, "monitor": 8090}}


def violations_of(resources: list[Registration], stack: str) -> dict[str, list[str]]:
    """Violations by resource name."""
    found = {
        resource.name: [
            f"{rule.name}: {violation}"
            for rule in RULES
            for violation in rule.violations(Resource(resource.type, resource.inputs, stack))
        ]
        for resource in resources
    }
    return {name: violations for name, violations in found.items() if violations}


def test_a_production_stack_violates_no_rule(run_program: StackRunner) -> None:
    graph = run_program(WHOLE, SECRETS, stack="prod")
    assert {"restarter", "chat-interface-tunnel-2"} <= set(graph.running)
    assert violations_of(graph.resources, "prod") == {}


def test_a_production_stack_behind_a_proxy_violates_no_rule(run_program: StackRunner) -> None:
    proxy = {"http": "http://proxy.example.com:3128", "https": "http://proxy.example.com:3128"}
    graph = run_program({**WHOLE, "proxy": proxy, "modelHub": "https://h.test"}, SECRETS, "prod")
    assert violations_of(graph.resources, "prod") == {}


def test_a_production_stack_on_a_swarm_violates_no_rule(run_program: StackRunner) -> None:
    graph = run_program({**WHOLE, "orchestrator": "swarm"}, SECRETS, stack="prod")
    assert {"chat-interface", "chat-interface-tunnel", "monitor"} <= graph.of("Service").keys()
    assert violations_of(graph.resources, "prod") == {}


def test_a_dev_stack_with_host_ports_violates_no_rule(run_program: StackRunner) -> None:
    assert violations_of(run_program(DEV, stack="dev").resources, "dev") == {}


def test_a_host_port_in_production_is_a_violation(run_program: StackRunner) -> None:
    resources = run_program(DEV, stack="prod").resources
    assert set(violations_of(resources, "prod")) == {"chat-interface", "monitor"}


def test_a_connector_image_with_a_tag_in_production_is_a_violation(
    run_program: StackRunner,
) -> None:
    config = {
        **PROD,
        "tunnel": {"mode": "quick", "access": "public", "image": "cloudflare/cloudflared:2026.8.2"},
    }
    resources = run_program(config, stack="prod").resources
    assert violations_of(resources, "prod") == {
        "chat-interface-tunnel-1": [
            "image-by-digest: runs cloudflare/cloudflared:2026.8.2, whose tag can move; use "
            "cloudflare/cloudflared:2026.8.2@sha256:…"
        ]
    }


GOOD = {
    "image": "sha256:" + "0" * 64,
    "readOnly": True,
    "capabilities": {"drops": ["ALL"]},
    "securityOpts": ["no-new-privileges:true"],
    "user": "10001:10001",
    "memory": 64,
    "memorySwap": 64,
    "cpus": "1",
    "ulimits": [{"name": "nproc", "soft": 10, "hard": 10}],
    "logOpts": {"max-size": "10m", "max-file": "3"},
    "labels": [{"label": "llm-stack.service", "value": "chat-interface"}],
}
TOKEN = "eyJ" + "a" * 60


def rule(name: str) -> Rule:
    return next(rule for rule in RULES if rule.name == name)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("no-host-port", {"ports": [{"internal": 80, "external": 80}]}),
        ("no-privileges", {"privileged": True}),
        ("no-privileges", {"capabilities": {"drops": ["ALL"], "adds": ["NET_ADMIN"]}}),
        ("no-privileges", {"devices": [{"hostPath": "/dev/mem"}]}),
        ("no-privileges", {"networkMode": "host"}),
        ("no-privileges", {"pidMode": "host"}),
        ("no-privileges", {"usernsMode": "host"}),
        ("no-privileges", {"securityOpts": ["no-new-privileges:true", "label=disable"]}),
        ("no-plain-secret", {"envs": ["HF_TOKEN=x"]}),
        ("no-plain-secret", {"envs": ["TUNNEL_TOKEN=x"]}),
        ("no-plain-secret", {"envs": ["openai_api_key=x"]}),
        ("no-plain-secret", {"envs": ["HARMLESS=hf_" + "a" * 30]}),
        ("no-plain-secret", {"command": ["tunnel", "run", "--token", "x"]}),
        ("no-plain-secret", {"command": ["tunnel", "run", "--token=x"]}),
        ("no-plain-secret", {"command": ["tunnel", "run", TOKEN]}),
        ("no-plain-secret", {"entrypoints": ["env", "GH_MODELS_TOKEN=x"]}),
        ("no-plain-secret", {"labels": [{"label": "note", "value": TOKEN}]}),
        ("image-by-digest", {"image": "python:3.11-slim"}),
        ("no-docker-socket", {"volumes": [{"hostPath": "/var/run/docker.sock"}]}),
        ("no-docker-socket", {"volumes": [{"hostPath": "/var/run/"}]}),
        ("no-docker-socket", {"volumes": [{"hostPath": "/"}]}),
        ("no-docker-socket", {"mounts": [{"type": "bind", "source": "/run/docker.sock"}]}),
        ("hardened", {"readOnly": False}),
        ("hardened", {"capabilities": {}}),
        ("hardened", {"securityOpts": []}),
        ("hardened", {"user": "0:0"}),
        ("hardened", {"user": None}),
        ("hardened", {"memorySwap": None}),
        ("hardened", {"ulimits": []}),
        ("hardened", {"logOpts": {}}),
        ("hardened", {"start": False}),
    ],
)
def test_each_rule_finds_its_violations(name: str, change: dict[str, Any]) -> None:
    container = "docker:index/container:Container"
    assert rule(name).violations(Resource(container, GOOD, "prod")) == []
    bad = {**copy.deepcopy(GOOD), **change}
    assert len(rule(name).violations(Resource(container, bad, "prod"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"envs": ["TUNNEL_TOKEN_FILE=/run/secrets/tunnel_token", "MAX_TOKENS=10", "KEYS=2"]},
        {"command": ["tunnel", "--no-autoupdate", "--metrics", "0.0.0.0:20241", "run"]},
        {"volumes": [{"volumeName": "dev-phi-inference-models", "containerPath": "/models"}]},
        {"volumes": [{"hostPath": "/srv/models", "containerPath": "/models"}]},
    ],
)
def test_harmless_resources_violate_no_rule(change: dict[str, Any]) -> None:
    resource = Resource("docker:index/container:Container", {**GOOD, **change}, "prod")
    assert [violation for rule in RULES for violation in rule.violations(resource)] == []


def test_only_the_restarter_may_mount_the_socket() -> None:
    socket = {"volumes": [{"hostPath": "/var/run/docker.sock"}]}
    restarter = {**GOOD, **socket, "labels": [{"label": "llm-stack.service", "value": "restarter"}]}
    resource = Resource("docker:index/container:Container", restarter, "prod")
    assert rule("no-docker-socket").violations(resource) == []


def test_only_the_restarter_may_have_the_options_for_the_socket() -> None:
    labels = [{"label": "llm-stack.service", "value": "restarter"}]
    options = ["no-new-privileges:true", "label=disable"]
    restarter = {**GOOD, "labels": labels, "usernsMode": "host", "securityOpts": options}
    kind = "docker:index/container:Container"
    assert rule("no-privileges").violations(Resource(kind, restarter, "prod")) == []
    more = {**restarter, "pidMode": "host"}
    assert len(rule("no-privileges").violations(Resource(kind, more, "prod"))) == 1


def test_a_secret_in_a_build_argument_is_a_violation() -> None:
    build = {"name": "x", "build": {"context": ".", "buildArgs": {"HF_TOKEN": "x"}}}
    resource = Resource("docker:index/remoteImage:RemoteImage", build, "prod")
    assert len(rule("no-plain-secret").violations(resource)) == 1


GOOD_SPEC = {
    "image": "chat@sha256:" + "0" * 64,
    "user": "10001:10001",
    "readOnly": True,
    "capDrops": ["ALL"],
}
GOOD_TASK = {
    "resources": {"limits": {"memoryBytes": 64, "nanoCpus": 1}},
    "logDriver": {"name": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
}


@pytest.mark.parametrize(
    ("name", "spec", "task", "service"),
    [
        ("no-host-port", {}, {}, {"endpointSpec": {"ports": [{"publishedPort": 8080}]}}),
        ("no-privileges", {"capAdds": ["NET_ADMIN"]}, {}, {}),
        ("no-plain-secret", {"env": {"HF_TOKEN": "x"}}, {}, {}),
        ("no-plain-secret", {"args": ["--token=x"]}, {}, {}),
        ("image-by-digest", {"image": "chat:latest"}, {}, {}),
        ("no-docker-socket", {"mounts": [{"type": "bind", "source": "/run"}]}, {}, {}),
        ("hardened", {"readOnly": False}, {}, {}),
        ("hardened", {"capDrops": []}, {}, {}),
        ("hardened", {"user": "root"}, {}, {}),
        ("hardened", {}, {"resources": {"limits": {"nanoCpus": 1}}}, {}),
        ("hardened", {}, {"logDriver": None}, {}),
    ],
)
def test_the_rules_apply_to_swarm_services(
    name: str, spec: dict[str, Any], task: dict[str, Any], service: dict[str, Any]
) -> None:
    props = {"taskSpec": {"containerSpec": {**GOOD_SPEC, **spec}, **GOOD_TASK, **task}, **service}
    resource = Resource("docker:index/service:Service", props, "prod")
    found = {rule.name: len(rule.violations(resource)) for rule in RULES}
    assert found == {rule.name: int(rule.name == name) for rule in RULES}


def test_a_token_in_a_swarm_config_is_a_violation() -> None:
    resource = Resource("docker:index/serviceConfig:ServiceConfig", {"dataRaw": TOKEN}, "prod")
    assert len(rule("no-plain-secret").violations(resource)) == 1
