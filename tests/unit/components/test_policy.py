"""The policy rules, applied to the program's resources and to one violation of each rule."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from components.config.compose.machine import CAPABILITIES
from components.images.published_image import FoundImage
from components.runtime import labels
from policy.rules import DANGEROUS_CAPABILITIES, LOOSENED_LABEL, RULES, Resource, Rule
from tests.doubles.recording_engine import Registration, StackRunner
from tests.unit.components.conftest import Project

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


def found_by_tag(references: set[str], docker_host: str | None) -> dict[str, FoundImage]:
    return {reference: FoundImage(reference) for reference in references}


def test_a_connector_image_with_a_tag_in_production_is_a_violation(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without an answer of the engine no digest is known.
    monkeypatch.setattr("components.preflight.published_images.find_images", found_by_tag)
    config = {
        **PROD,
        "tunnel": {"mode": "quick", "access": "public", "image": "cloudflare/cloudflared:2026.8.2"},
    }
    resources = run_program(config, stack="prod").resources
    expected = [
        "image-by-digest: runs cloudflare/cloudflared:2026.8.2, whose tag can move; use "
        "cloudflare/cloudflared:2026.8.2@sha256:…"
    ]
    assert violations_of(resources, "prod") == {
        "chat-interface-tunnel-1": expected,
        "cloudflare/cloudflared:2026.8.2-pull": expected,
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


CONTAINER = "docker:index/container:Container"
DIGEST = "sha256:" + "0a" * 32
OPENED = f"""
services:
  app:
    kind: container
    image: redis:7@{DIGEST}
    user: "0:0"
    read_only: false
    cap_add: [CHOWN, NET_ADMIN]
    devices: [/dev/dri]
    volumes: ["/mnt/models:/models"]
    ports: ["8080:80"]
    secret_environment: {{DB_PASSWORD: "${{db}}"}}
"""
OPENED_SECRETS = {"secrets": {"db": "not-a-password"}}
LOOSENED = "llm-stack.loosened"


def loosened(text: str, **props: Any) -> Resource:
    """A container of which the catalogue opens this."""
    label = {"label": LOOSENED, "value": text}
    return Resource(CONTAINER, {**GOOD, **props, "labels": [label]}, "prod")


def found_in(resource: Resource) -> dict[str, list[str]]:
    """The violations of a resource by rule."""
    found = {rule.name: rule.violations(resource) for rule in RULES}
    return {name: violations for name, violations in found.items() if violations}


def test_what_the_catalogue_opens_is_listed_and_is_not_a_violation(project: Project) -> None:
    app = project.run(OPENED, OPENED_SECRETS).running["app"]
    assert found_in(Resource(app.type, app.inputs, "prod")) == {
        "loosened": [
            "has capabilities: CHOWN, NET_ADMIN",
            "uses devices of the machine: /dev/dri",
            "publishes ports of the machine: 127.0.0.1:8080/tcp",
            "can write to its root file system; read_only: false",
            "has secrets that `docker inspect` shows, in the variables: DB_PASSWORD",
            "may run as root: 0:0",
            "uses folders of the machine: /models",
        ]
    }
    assert [one.name for one in RULES if one.advisory] == ["loosened"]


def test_the_same_container_without_the_entry_is_a_violation(project: Project) -> None:
    app = project.run(OPENED, OPENED_SECRETS).running["app"]
    plain = [label for label in app.inputs["labels"] if label["label"] != LOOSENED]
    assert found_in(Resource(app.type, {**app.inputs, "labels": plain}, "prod")) == {
        "no-host-port": [
            "publishes port 8080 on the host; in production, services are reached through a "
            "tunnel: remove it from llm-stack:hostPorts"
        ],
        "no-privileges": [
            "adds the capabilities CAP_CHOWN, CAP_NET_ADMIN; drop them",
            "mounts devices of the host",
        ],
        "no-plain-secret": [
            "variable DB_PASSWORD looks like a secret; pass it as a file, see FilesArgs in "
            "components/runtime/orchestrator.py"
        ],
        "hardened": [
            "can write to its root file system: set readOnly",
            "runs as root or as the image's default user: set user",
        ],
    }


def test_what_the_catalogue_opens_on_a_swarm_is_not_a_violation(project: Project) -> None:
    entry = "".join(
        line
        for line in OPENED.splitlines(keepends=True)
        if "devices" not in line and "ports" not in line
    )
    graph = project.run(entry, OPENED_SECRETS, orchestrator="swarm", swarm={"singleNode": True})
    app = graph.of("Service")["app"]
    assert found_in(Resource(app.type, app.inputs, "prod")).keys() == {"loosened"}
    plain = [label for label in app.inputs["labels"] if label["label"] != LOOSENED]
    found = found_in(Resource(app.type, {**app.inputs, "labels": plain}, "prod"))
    assert found.keys() == {"no-privileges", "no-plain-secret", "hardened"}


@pytest.mark.parametrize(
    ("declared", "props", "rules"),
    [
        (
            "cap_add=CHOWN",
            {"capabilities": {"drops": ["ALL"], "adds": ["CAP_SETUID"]}},
            "no-privileges",
        ),
        ("read_only=false", {"user": "0:0"}, "hardened"),
        ("user=0:0", {"readOnly": False}, "hardened"),
        ("volumes=/a", {"devices": [{"hostPath": "/dev/mem"}]}, "no-privileges"),
        ("cap_add=CHOWN", {"ports": [{"internal": 80, "external": 80}]}, "no-host-port"),
        ("secret_environment=A_KEY", {"envs": ["B_KEY=x"]}, "no-plain-secret"),
        ("secret_environment=A_KEY", {"command": ["--key=x"]}, "no-plain-secret"),
        ("user=0:0; read_only=false", {"capabilities": {}}, "hardened"),
        ("user=0:0; read_only=false", {"privileged": True}, "no-privileges"),
        ("volumes=/a", {"volumes": [{"hostPath": "/var/run/docker.sock"}]}, "no-docker-socket"),
    ],
)
def test_an_entry_that_opens_one_thing_does_not_open_another(
    declared: str, props: dict[str, Any], rules: str
) -> None:
    assert found_in(loosened(declared, **props)).keys() == {"loosened", rules}


@pytest.mark.parametrize(
    "capability", ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "ALL", "CAP_ALL"]
)
def test_a_capability_that_gives_control_of_the_machine_is_always_a_violation(
    capability: str,
) -> None:
    name = capability.removeprefix("CAP_")
    props = {"capabilities": {"drops": ["ALL"], "adds": [capability, "CAP_CHOWN"]}}
    found = found_in(loosened(f"cap_add={name},CHOWN", **props))
    assert found["no-privileges"] == [f"adds the capabilities {capability}; drop them"]


def test_a_declared_capability_is_none_of_those_that_give_control_of_the_machine() -> None:
    declared = {f"CAP_{name}" for name in CAPABILITIES}
    assert not declared & DANGEROUS_CAPABILITIES


def test_the_label_is_the_one_that_containers_get() -> None:
    assert {LOOSENED_LABEL, LOOSENED} == {labels.LOOSENED}
