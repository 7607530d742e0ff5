"""The resources that `__main__.py` declares: graph, names, hardening."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, cast

import pulumi
import pytest

from components.engine.info import EngineInfo
from tests.doubles.recording_engine import Graph, StackRunner

DEV = {
    "services": ["chat-interface", "phi-inference"],
    "hostPorts": {"chat-interface": 8080, "monitor": 8090},
    # Set explicitly: otherwise it is read from the socket, and these tests need no engine.
    "monitor": {"socketGroup": 999},
}
ALL = {**DEV, "services": "all"}


@pytest.fixture
def dev(run_program: StackRunner) -> Graph:
    return run_program(DEV, stack="dev")


def test_the_dev_stack_runs_its_services_and_one_monitor(dev: Graph) -> None:
    services = {"chat-interface", "phi-inference", "monitor", "restarter"}
    assert set(dev.running) == {*services, "phi-inference-fetch"}
    assert set(dev.of("ServiceStack")) == {"chat-interface", "phi-inference"}
    assert set(dev.of("ServiceImage")) == {"chat", "inference", "monitor", "restarter", "carrier"}


def test_services_of_one_kind_share_an_image(run_program: StackRunner) -> None:
    graph = run_program(ALL)
    assert len(graph.of("ServiceStack")) == 4
    assert len(graph.of("RemoteImage")) == 5, "chat, inference, monitor, restarter, carrier"
    images = {r.inputs["image"] for n, r in graph.running.items() if n.endswith("-inference")}
    assert images == {"sha256:inference-build"}


def test_every_container_is_hardened(run_program: StackRunner) -> None:
    for name, container in run_program(ALL).running.items():
        inputs = container.inputs
        assert inputs["user"] == "10001:10001", name
        assert inputs["readOnly"] is True, name
        assert inputs["capabilities"] == {"drops": ["ALL"]}, name
        assert inputs["securityOpts"] == ["no-new-privileges:true"], name
        assert inputs["init"] is True, name
        assert inputs["restart"] == ("no" if name.endswith("-fetch") else "unless-stopped"), name
        assert inputs["memory"] == inputs["memorySwap"] > 0, f"{name}: swap would undo the limit"
        assert float(inputs["cpus"]) > 0, name
        assert {limit["name"] for limit in inputs["ulimits"]} == {"nproc"}, name
        assert inputs["logOpts"] == {"max-size": "10m", "max-file": "3"}, name
        assert inputs["destroyGraceSeconds"] == inputs["stopTimeout"] >= 10, (
            f"{name}: without a grace the provider kills at once"
        )
        assert inputs["wait"] is False, f"{name}: the health gate waits instead"
        assert "privileged" not in inputs, name


def test_every_container_has_a_gate(dev: Graph) -> None:
    gates = {n: r for n, r in dev.of("Stash").items() if n.endswith("-gate")}
    assert set(gates) == {f"{name}-gate" for name in dev.running}
    for name, gate in gates.items():
        assert gate.inputs["input"] == f"{name.removesuffix('-gate')}-id"
        assert len(gate.hooks) == 2, (
            f"{name}: checked when it is new and when its container changes"
        )


def test_a_gate_logs_under_its_service(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate's URN exists only after it opened: its own messages would be delayed until then."""
    hooks: dict[str, pulumi.ResourceHook] = {}
    reporters: list[pulumi.Resource | None] = []

    class Hook(pulumi.ResourceHook):
        def __init__(self, name: str, func: pulumi.ResourceHookFunction) -> None:
            super().__init__(name, func)
            hooks[name] = self

    async def wait(
        container_id: str,
        limit: int,
        host: str | None,
        reporter: pulumi.Resource | None,
        expected: object,
    ) -> None:
        reporters.append(reporter)

    monkeypatch.setattr(pulumi, "ResourceHook", Hook)
    monkeypatch.setattr("components.runtime.docker.health.wait_until_healthy", wait)
    run_program(DEV)
    waiting = hooks["phi-inference-gate"].callback(
        pulumi.ResourceHookArgs("", "", "phi-inference-gate", "", new_inputs={"input": "id"})
    )
    asyncio.run(cast(Coroutine[Any, Any, None], waiting))
    assert [type(reporter).__name__ for reporter in reporters] == ["ServiceStack"]


def test_file_carriers_are_not_started_and_have_no_network(dev: Graph) -> None:
    carriers = dev.of("Container").keys() - dev.running.keys()
    assert carriers == {
        "chat-interface-config-carrier",
        "monitor-config-carrier",
        "monitor-secrets-carrier",
        "phi-inference-config-carrier",
        "restarter-config-carrier",
        "restarter-secrets-carrier",
    }
    for name in carriers:
        inputs = dev.of("Container")[name].inputs
        assert (inputs["start"], inputs["mustRun"], inputs["networkMode"]) == (False, False, "none")


def test_every_resource_belongs_to_its_component(dev: Graph) -> None:
    parents = {resource.name: resource.parent for resource in dev.resources}
    assert parents["phi-inference-models"].endswith("ServiceStack::phi-inference")
    assert parents["monitor-config-carrier"].endswith("MountedFiles::monitor-config")
    assert parents["llm-network"].endswith("StackNetwork::llm-network")
    loose = [
        r.name
        for r in dev.resources
        if r.type.startswith("docker:") and "llm-stack:" not in r.parent
    ]
    assert loose == []


def test_services_have_their_name_on_the_network(dev: Graph) -> None:
    assert "name" not in dev.of("Network")["llm-network"].inputs, (
        "an orphan of that name would block it"
    )
    for name, container in dev.running.items():
        assert all(n["aliases"] == [name] for n in container.inputs["networksAdvanced"]), name


def test_only_configured_ports_are_published_on_the_loopback(dev: Graph) -> None:
    ports = {name: container.inputs.get("ports") for name, container in dev.running.items()}
    assert ports["phi-inference"] is None
    assert ports["chat-interface"] == [{"internal": 8080, "external": 8080, "ip": "127.0.0.1"}]


def test_a_new_container_starts_first_unless_it_has_a_host_port(
    dev: Graph,
) -> None:
    assert dev.running["phi-inference"].hooks == ()
    assert dev.running["chat-interface"].hooks == ("chat-interface-stop-predecessor",)


def test_a_service_can_be_stopped_before_its_new_version_starts(
    run_program: StackRunner,
) -> None:
    graph = run_program({**ALL, "hostPorts": {}, "updates": {"phi-inference": "recreate"}})
    assert [name for name, one in graph.running.items() if one.hooks] == ["phi-inference"]


def test_the_drain_timeout_is_shorter_than_the_stop_timeout(dev: Graph) -> None:
    phi = dev.running["phi-inference"].inputs
    environment = dict(pair.split("=", 1) for pair in phi["envs"])
    assert float(environment["DRAIN_SECONDS"]) <= phi["stopTimeout"] - 10
    gateway = dev.settings("chat-interface")
    assert gateway["drain_seconds"] <= dev.running["chat-interface"].inputs["stopTimeout"] - 10
    ports = {str(model["status_port"]) for model in gateway["models"]}
    assert ports == {environment["STATUS_PORT"]}


def test_the_model_volume_is_retained_and_ignores_label_changes(dev: Graph) -> None:
    volume = dev.of("Volume")["phi-inference-models"]
    assert volume.retained
    assert "labels" in volume.ignored, "the provider replaces a volume, models and all, for a label"
    assert volume.inputs["name"] == "dev-phi-inference-models"


def test_the_gateway_receives_every_enabled_model(run_program: StackRunner) -> None:
    graph = run_program(ALL)
    gateway = graph.settings("chat-interface")
    assert {m["id"]: m["replicas"] for m in gateway["models"]} == {
        "phi-3-mini": ["http://phi-inference:8000"],
        "qwen2.5-1.5b": ["http://qwen-inference:8000"],
        "llama-3.2-3b": ["http://llama-inference:8000"],
    }
    assert all(m["placeholder"] is None for m in gateway["models"])


def test_a_placeholder_model_is_loaded_and_shown(run_program: StackRunner) -> None:
    graph = run_program({**DEV, "placeholderModel": "smollm2-135m"})
    loaded = json.loads(graph.config_file("phi-inference", "model.json"))
    (file,) = loaded["files"]
    assert file["path"] == "/opt/models/smollm2-135m.gguf"
    assert file["sha256"].startswith("b179c952")
    assert loaded["name"] == "phi-3-mini"
    assert "repository" not in file
    (model,) = graph.settings("chat-interface")["models"]
    assert model["placeholder"]["model"] == "smollm2-135m"


def test_a_model_has_its_revision_and_digest(dev: Graph) -> None:
    (file,) = json.loads(dev.config_file("phi-inference", "model.json"))["files"]
    assert file["repository"] == "microsoft/Phi-3-mini-4k-instruct-gguf"
    assert len(file["revision"]) == 40
    assert len(file["sha256"]) == 64


def test_the_monitor_has_the_dependency_of_the_chat_on_its_models(dev: Graph) -> None:
    services = {s["name"]: s for s in dev.settings("monitor")["services"]}
    assert services["chat-interface"]["depends_on"] == ["phi-inference"]
    assert services["phi-inference"]["depends_on"] == []


def test_a_secret_is_passed_as_a_file_and_encrypted(run_program: StackRunner) -> None:
    graph = run_program(DEV, secrets={"hfToken": "not-a-token"})
    carrier = graph.of("Container")["phi-inference-secrets-carrier"]
    assert carrier.inputs["uploads"][0]["file"] == "/run/secrets/hf_token"
    assert graph.is_only_in_files("not-a-token", "phi-inference-secrets")


def test_without_a_secret_no_secrets_volume_exists(dev: Graph) -> None:
    with_secrets = {name for name in dev.of("MountedFiles") if name.endswith("-secrets")}
    assert with_secrets == {"monitor-secrets", "restarter-secrets"}, (
        "they share a token of their own"
    )


def test_only_the_restarter_mounts_the_socket_and_only_the_monitor_can_reach_it(dev: Graph) -> None:
    holders = {n for n, c in dev.running.items() if "docker.sock" in str(c.inputs.get("volumes"))}
    assert holders == {"restarter"}
    assert dev.running["restarter"].inputs["groupAdds"] == ["999"]
    assert dev.of("Network")["restarter-network"].inputs["internal"] is True
    on_its_network = {
        name
        for name, container in dev.running.items()
        if "restarter-network" in {n["name"] for n in container.inputs["networksAdvanced"]}
    }
    assert on_its_network == {"restarter", "monitor"}
    assert dev.settings("restarter") == {"stack": "dev", "services": DEV["services"]}


@pytest.mark.parametrize(
    ("info", "option"),
    [
        (EngineInfo(selinux=True), ("securityOpts", ["no-new-privileges:true", "label=disable"])),
        (EngineInfo(remapped_users=True), ("usernsMode", "host")),
    ],
    ids=["SELinux", "userns-remap"],
)
def test_only_the_restarter_has_the_options_for_the_socket(
    run_program: StackRunner,
    monkeypatch: pytest.MonkeyPatch,
    dev: Graph,
    info: EngineInfo,
    option: tuple[str, Any],
) -> None:
    monkeypatch.setattr("components.preflight.checks.ask_engine", lambda host: info)
    graph = run_program(DEV, stack="dev")
    key, value = option
    before = {name: container.inputs for name, container in dev.of("Container").items()}
    before["restarter"] = {**before["restarter"], key: value}
    assert {name: one.inputs for name, one in graph.of("Container").items()} == before


def test_restarter_and_monitor_share_an_encrypted_token(dev: Graph) -> None:
    carriers = [dev.of("Container")[f"{name}-secrets-carrier"] for name in ("monitor", "restarter")]
    assert all("uploads" in carrier.secrets for carrier in carriers)
    assert carriers[0].inputs["uploads"] == carriers[1].inputs["uploads"]
    kept = dev.of("Stash")["restarter-token-value"]
    assert "input" in kept.secrets
    assert kept.ignored == ("input",), "each run draws another token; the first must stay"


def test_without_restarts_no_container_mounts_the_socket(run_program: StackRunner) -> None:
    graph = run_program({**DEV, "monitor": {"restarts": False}})
    assert "restarter" not in graph.running
    assert not any("docker.sock" in str(resource.inputs) for resource in graph.resources)


def test_only_a_stack_with_the_placeholder_model_builds_its_image(
    run_program: StackRunner,
) -> None:
    plain = run_program(DEV).of("RemoteImage")
    assert plain["inference-build"].inputs["build"]["buildArgs"]["BUNDLED_MODEL"] == "none"
    demo = run_program({**DEV, "placeholderModel": "smollm2-135m"}).of("RemoteImage")
    assert "inference-build" not in demo
    image = demo["inference-smollm2-135m-build"].inputs
    assert image["build"]["buildArgs"]["BUNDLED_MODEL"] == "smollm2-135m"
    assert image["build"]["buildLogFile"] == "logs/inference-smollm2-135m.log"


def test_llama_server_is_copied_from_its_image_unless_the_stack_compiles_it(
    run_program: StackRunner,
) -> None:
    def build_args(**settings: Any) -> dict[str, str]:
        secrets = {"registryPassword": "not-a-password"} if "registry" in settings else None
        image = run_program({**DEV, **settings}, secrets).of("RemoteImage")["inference-build"]
        arguments: dict[str, str] = image.inputs["build"]["buildArgs"]
        return arguments

    published = build_args()
    assert published["ENGINE_SOURCE"] == "published"
    assert published["LLAMA_IMAGE"] == "ghcr.io/ggml-org/llama.cpp:server-b11312"
    assert "CPU_VARIANTS" not in published
    compiled = build_args(engineSource="compiled")
    assert compiled["ENGINE_SOURCE"] == "compiled"
    assert compiled["CPU_VARIANTS"] == "host", "the image stays on the machine that builds it"
    assert "LLAMA_IMAGE" not in compiled
    registry = {"server": "registry.test", "repository": "team", "username": "robot"}
    assert build_args(engineSource="compiled", registry=registry)["CPU_VARIANTS"] == "all"


@pytest.mark.parametrize(("settings", "limit"), [({}, "24h"), ({"operationTimeout": "90m"}, "90m")])
def test_no_operation_has_the_providers_default_timeout_of_20_minutes(
    run_program: StackRunner, settings: dict[str, str], limit: str
) -> None:
    graph = run_program({**DEV, **settings})
    for kind in ("RemoteImage", "Container"):
        assert {one.timeouts for one in graph.of(kind).values()} == {(limit, limit, limit)}
    # The provider warns about timeouts that a resource type does not support.
    for kind in ("Network", "Volume"):
        assert {one.timeouts for one in graph.of(kind).values()} == {("", "", "")}


def test_a_base_image_can_be_pinned(run_program: StackRunner) -> None:
    graph = run_program(
        {**DEV, "baseImages": {"python": "registry.test/python@sha256:" + "0" * 64}}
    )
    build = graph.of("RemoteImage")["chat-build"].inputs["build"]
    assert build["buildArgs"]["BASE_IMAGE"].startswith("registry.test/python@sha256:")
