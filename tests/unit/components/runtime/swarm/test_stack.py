"""A stack on a Swarm: the declared resources and the refused settings."""

from __future__ import annotations

import base64
import json
from typing import Any

import pulumi
import pytest

from components.runtime.go_duration import go_duration
from tests.doubles.recording_engine import AUDIENCE, Graph, StackRunner

SWARM = {
    "orchestrator": "swarm",
    "services": ["chat-interface", "phi-inference"],
    "replicas": {"chat-interface": 2, "phi-inference": 3},
    "swarm": {"placement": {"phi-inference": {"gpu": "nvidia"}}, "spreadOver": "zone"},
    "registry": {
        "server": "registry.example.com",
        "repository": "team/llm-stack",
        "username": "robot",
    },
}
PASSWORD = {"registryPassword": "not-a-password"}
TUNNEL_TOKEN = base64.b64encode(
    json.dumps({"a": "a", "t": "5d7b0e0c-6a5f-4c0e-9c1b-0f6a3b2c1d00", "s": "c2VjcmV0"}).encode()
).decode()
TUNNEL = {
    "tunnel": {"mode": "named", "access": "access", "replicas": 2},
    "gateway": {"hosts": ["chat.example.com"]},
}


@pytest.fixture
def swarm(run_program: StackRunner) -> Graph:
    return run_program(
        {**SWARM, **TUNNEL},
        {
            **PASSWORD,
            "hfToken": "not-a-token",
            "cloudflareTunnelToken-chat-interface": TUNNEL_TOKEN,
        },
        stack="prod",
    )


def spec(graph: Graph, name: str) -> dict[str, Any]:
    found: dict[str, Any] = graph.of("Service")[name].inputs["taskSpec"]["containerSpec"]
    return found


def test_services_replace_containers(swarm: Graph) -> None:
    assert swarm.of("Service").keys() == {
        "chat-interface",
        "phi-inference",
        "chat-interface-tunnel",
        "monitor",
        "chat-interface-lists",
        "monitor-lists",
    }
    assert swarm.of("Container") == {}, "no carriers either"
    assert "carrier" not in swarm.of("ServiceImage")
    assert swarm.of("Volume") == {}, "each node makes its own"


def test_the_components_are_the_same_as_on_one_engine(swarm: Graph) -> None:
    parents = {resource.name: resource.parent for resource in swarm.resources}
    assert parents["phi-inference"].endswith("ServiceStack::phi-inference")
    assert parents["monitor"].endswith("Monitor::monitor")
    assert parents["chat-interface-tunnel"].endswith("Tunnel::chat-interface-tunnel")
    assert parents["llm-network"].endswith("StackNetwork::llm-network")


def test_every_service_is_hardened(swarm: Graph) -> None:
    for name, service in swarm.of("Service").items():
        task, container = service.inputs["taskSpec"], spec(swarm, name)
        assert container["user"] in {"10001:10001", "65532:65532"}, name
        assert container["readOnly"] is True, name
        assert container["capDrops"] == ["ALL"], name
        assert container["init"] is True, name
        limits, reservation = task["resources"]["limits"], task["resources"]["reservation"]
        assert limits["memoryBytes"] == reservation["memoryBytes"] > 0, name
        assert limits["nanoCpus"] > 0, name
        assert task["logDriver"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        assert task["restartPolicy"]["condition"] == "any", name
        temporary = [m for m in container["mounts"] if m["type"] == "tmpfs"]
        assert [m["target"] for m in temporary] == ["/tmp"], name


def test_a_new_version_starts_first_and_a_broken_one_is_rolled_back(swarm: Graph) -> None:
    for name, service in swarm.of("Service").items():
        update = service.inputs["updateConfig"]
        # Two services of lists would send the new list and the old one in turn.
        first = "stop-first" if name.endswith("-lists") else "start-first"
        assert update["order"] == first, name
        assert update["failureAction"] == "rollback", name
        assert service.inputs["rollbackConfig"]["order"] == "start-first", name


def test_health_checks_have_a_short_interval(swarm: Graph) -> None:
    for name, service in swarm.of("Service").items():
        check = service.inputs["taskSpec"]["containerSpec"]["healthcheck"]
        assert check["interval"] == "10s", name
        # The check's command is that of the image, if the image has one.
        assert ("tests" in check) == ("tunnel" in name), name


def test_every_service_has_a_gate_that_depends_on_each_change(
    run_program: StackRunner, swarm: Graph
) -> None:
    gates = swarm.of("Stash")
    assert gates.keys() == {f"{name}-gate" for name in swarm.of("Service")}
    assert all(len(gate.hooks) == 2 for gate in gates.values())
    before = run_program(SWARM, PASSWORD).of("Stash")
    again = run_program(SWARM, PASSWORD).of("Stash")
    replicas = {"chat-interface": 3, "phi-inference": 3}
    scaled = run_program({**SWARM, "replicas": replicas}, PASSWORD).of("Stash")
    changed = {n for n in before if before[n].inputs != scaled[n].inputs}
    assert {n for n in before if before[n].inputs != again[n].inputs} == set()
    assert changed == {"chat-interface-gate"}


def test_the_network_is_an_encrypted_overlay(run_program: StackRunner, swarm: Graph) -> None:
    network = swarm.of("Network")["llm-network"].inputs
    assert (network["driver"], network["options"]) == ("overlay", {"encrypted": "true"})
    assert "attachable" not in network
    plain = run_program({**SWARM, "swarm": {"encrypted": False}}, PASSWORD)
    assert "options" not in plain.of("Network")["llm-network"].inputs


def test_replicas_have_a_shared_and_a_separate_name(swarm: Graph) -> None:
    service = swarm.of("Service")["phi-inference"].inputs
    assert service["mode"] == {"replicated": {"replicas": 3}}
    assert service["endpointSpec"] == {"mode": "dnsrr"}
    (network,) = service["taskSpec"]["networksAdvanceds"]
    assert network == {"id": "llm-network-id", "aliases": ["phi-inference"]}
    assert spec(swarm, "phi-inference")["hostname"] == "phi-inference-{{.Task.Slot}}"
    assert spec(swarm, "monitor")["hostname"] == "monitor"


def test_the_monitor_checks_each_replica_and_restarts_none(swarm: Graph) -> None:
    configs = swarm.of("ServiceConfig")
    settings = json.loads(configs["monitor-config-monitor-json"].inputs["dataRaw"])
    assert settings["restarts"]["enabled"] is False
    config = json.loads(configs["monitor-lists-config-services-json"].inputs["dataRaw"])
    assert [service["name"] for service in config["services"]] == [
        "chat-interface-1",
        "chat-interface-2",
        "phi-inference-1",
        "phi-inference-2",
        "phi-inference-3",
        "chat-interface-tunnel-1",
        "chat-interface-tunnel-2",
    ]
    known = {service["name"] for service in config["services"]}
    assert all(known >= set(service["depends_on"]) for service in config["services"])
    assert "Restarter" not in {r.type.split(":")[-1] for r in swarm.resources}
    assert not any("docker.sock" in str(resource.inputs) for resource in swarm.resources)


def test_the_gateway_receives_one_url_for_all_replicas(swarm: Graph) -> None:
    config = swarm.of("ServiceConfig")["chat-interface-lists-config-models-json"].inputs
    (model,) = json.loads(config["dataRaw"])["models"]
    assert model["replicas"] == ["http://phi-inference:8000"]
    (mounted,) = spec(swarm, "chat-interface")["configs"]
    assert mounted["fileName"] == "/run/config/gateway.json"


def test_a_secret_is_a_swarm_secret_and_encrypted_in_the_state(swarm: Graph) -> None:
    secret = swarm.of("Secret")["phi-inference-secrets-hf_token"]
    assert base64.b64decode(secret.inputs["data"]) == b"not-a-token"
    assert "data" in secret.secrets
    (mounted,) = spec(swarm, "phi-inference")["secrets"]
    assert mounted["fileName"] == "/run/secrets/hf_token"
    assert mounted["secretId"] == "phi-inference-secrets-hf_token-id"
    elsewhere = [r.name for r in swarm.resources if r is not secret and "not-a-token" in str(r)]
    assert elsewhere == []


def test_connectors_are_one_service_that_is_removed_before_a_replaced_tunnel(swarm: Graph) -> None:
    connectors = swarm.of("Service")["chat-interface-tunnel"].inputs
    assert connectors["mode"] == {"replicated": {"replicas": 2}}
    assert spec(swarm, "chat-interface-tunnel")["commands"] == ["cloudflared"]
    token = swarm.of("Secret")["chat-interface-tunnel-secrets-tunnel_token"]
    assert (
        connectors["name"]
        == f"chat-interface-tunnel-{token.name}-id"[: len("chat-interface-tunnel-") + 12]
    ), "the name alone makes the engine replace the service, before the tunnel goes"


def test_placement_follows_the_labels_of_nodes(swarm: Graph) -> None:
    services = swarm.of("Service")
    placement = services["phi-inference"].inputs["taskSpec"]["placement"]
    assert placement["constraints"] == ["node.labels.gpu==nvidia"]
    assert placement["prefs"] == ["node.labels.zone"]
    monitor = services["monitor"].inputs["taskSpec"]["placement"]
    assert monitor["constraints"] == ["node.role==manager"], "the node of its volume"


def test_models_stay_on_the_node_that_downloaded_them(swarm: Graph) -> None:
    mounts = {m["target"]: m for m in spec(swarm, "phi-inference")["mounts"]}
    assert mounts["/models"]["source"] == "prod-phi-inference-models"
    labels = {"llm-stack.stack": "prod", "llm-stack.service": "phi-inference"}
    given = mounts["/models"]["volumeOptions"]["labels"]
    assert {label["label"]: label["value"] for label in given} == labels


def test_labels_are_on_the_service_and_on_its_containers(swarm: Graph) -> None:
    expected = {"llm-stack.stack": "prod", "llm-stack.service": "chat-interface"}
    for labels in (
        swarm.of("Service")["chat-interface"].inputs["labels"],
        spec(swarm, "chat-interface")["labels"],
    ):
        assert {label["label"]: label["value"] for label in labels} == expected


def test_nodes_pull_with_the_credentials_of_the_registry(swarm: Graph) -> None:
    for name, service in swarm.of("Service").items():
        assert "::registry::" in service.provider, name
        assert "@sha256:" in spec(swarm, name)["image"], name


def test_one_node_needs_no_registry(run_program: StackRunner) -> None:
    config = {**SWARM, "swarm": {"singleNode": True}}
    del config["registry"]
    graph = run_program(config)
    assert spec(graph, "chat-interface")["image"] == "sha256:chat-build"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"orchestrator": "docker", "swarm": None},
            "llm-stack:replicas.chat-interface: one Docker engine runs each service once; found 2; "
            "allowed: none, or a Swarm; run: pulumi config set llm-stack:orchestrator swarm",
        ),
        (
            {"orchestrator": "docker", "replicas": {}},
            "llm-stack:swarm: is set, but the orchestrator is docker",
        ),
        (
            {"orchestrator": "kubernetes"},
            "is not a valid value; found 'kubernetes'; allowed: docker, swarm",
        ),
        (
            {"replicas": {"chat": 2}},
            "llm-stack:replicas.chat: is not a service of this stack; ",
        ),
        (
            {"replicas": {"chat-interface": 0}},
            "replicas.chat-interface: is too small; found 0; allowed: at least 1",
        ),
        (
            {"swarm": {"placement": {"phi": {"gpu": "nvidia"}}}},
            "llm-stack:swarm.placement.phi: is not a service of this stack; ",
        ),
        (
            {"swarm": {"placement": {"phi-inference": {"gpu": "a b"}}}},
            "swarm.placement.phi-inference.gpu: is not a valid label value",
        ),
        (
            {"registry": None},
            "llm-stack:registry: is missing; the nodes of a Swarm pull their images from it",
        ),
        (
            {"hostPorts": {"chat-interface": 8080}},
            "llm-stack:hostPorts.chat-interface: a Swarm would open the port on every address",
        ),
        (
            {"tunnel": {"mode": "quick", "access": "public"}},
            "llm-stack:tunnel.services.chat-interface.mode: a quick tunnel's hostname is read from",
        ),
    ],
)
def test_settings_that_a_swarm_does_not_support_are_refused(
    run_program: StackRunner, config: dict[str, Any], message: str
) -> None:
    wanted = {key: value for key, value in {**SWARM, **config}.items() if value is not None}
    with pytest.raises(pulumi.RunError) as refusal:
        run_program(wanted, PASSWORD if "registry" in wanted else None, stack="prod")
    assert message in str(refusal.value)


def test_durations_are_written_as_the_engine_reads_them_back() -> None:
    written = {0: "0s", 30: "30s", 60: "1m", 75: "1m15s", 3600: "1h", 3660: "1h1m"}
    assert {seconds: go_duration(seconds) for seconds in written} == written


def test_the_gateway_reads_its_access_application_from_the_service_with_its_lists(
    run_program: StackRunner,
) -> None:
    tunnel = {
        "mode": "named",
        "baseDomain": "example.com",
        "accountId": "a" * 32,
        "zoneId": "b" * 32,
        "access": "access",
        "people": {"emails": ["jo@example.com"]},
    }
    stack = {**SWARM, "tunnel": tunnel, "gateway": {"access": {"team": "my-team"}}}
    secrets = {**PASSWORD, "cloudflare:apiToken": "t" * 40}
    graph = run_program(stack, secrets, stack="prod")
    configs = {name: one.inputs["dataRaw"] for name, one in graph.of("ServiceConfig").items()}
    (gateway,) = [json.loads(text) for name, text in configs.items() if "gateway-json" in name]
    assert gateway["access"] == {"applications": "http://chat-interface-lists:8090/access.json"}
    (listed,) = [json.loads(text) for name, text in configs.items() if "access-json" in name]
    assert listed == {"team": "my-team", "audiences": [AUDIENCE]}
