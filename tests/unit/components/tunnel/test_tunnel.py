"""Tunnels: the Cloudflare resources, and how connectors run."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import grpc
import pulumi
import pytest
import yaml

from components.config.tunnels import is_tunnel_token
from components.images.published_image import MissingImage
from components.tunnel.tunnel import quick_url
from tests.doubles.recording_engine import TUNNEL_TOKEN, Graph, RecordingMocks, StackRunner
from tests.unit.components.conftest import PROJECT_ROOT

ACCOUNT, ZONE = "a" * 32, "b" * 32
CLOUDFLARE = {"cloudflare:apiToken": "t" * 40}
NAMED = {
    "mode": "named",
    "baseDomain": "example.com",
    "accountId": ACCOUNT,
    "zoneId": ZONE,
    "access": "public",
}
SERVICES = ["chat-interface", "phi-inference", "qwen-inference"]


class CutShort(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
    """The SDK's error when the engine cancels a provider function."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "the client connection is closing"


def tunnel_token(tunnel: str = "6ff42ae2-765d-4adf-8112-31c55c1551ef") -> str:
    parts = {"a": ACCOUNT, "t": tunnel, "s": base64.b64encode(b"s" * 32).decode()}
    return base64.b64encode(json.dumps(parts).encode()).decode()


def stack(**tunnel: Any) -> dict[str, Any]:
    monitor = {"socketGroup": 999}
    return {"services": SERVICES, "monitor": monitor, "tunnel": {**NAMED, **tunnel}}


@pytest.fixture
def with_named_tunnel(run_program: StackRunner) -> Graph:
    return run_program(stack(), CLOUDFLARE, stack="prod")


def connectors(graph: Graph) -> dict[str, Any]:
    return {name: r.inputs for name, r in graph.running.items() if "-tunnel-" in name}


def test_a_token_that_cannot_be_read_is_reported_with_a_message(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(mocks: RecordingMocks, args: object) -> dict[str, Any]:
        raise CutShort

    monkeypatch.setattr(RecordingMocks, "call", refuse)
    with pytest.raises(
        pulumi.RunError, match=r"llm-stack-prod-chat-interface: the tunnel's token could not be"
    ):
        run_program(stack(), CLOUDFLARE, stack="prod")


def test_only_public_services_have_a_tunnel(with_named_tunnel: Graph) -> None:
    assert set(with_named_tunnel.of("Tunnel")) == {"chat-interface-tunnel"}
    assert set(connectors(with_named_tunnel)) == {"chat-interface-tunnel-1"}
    assert with_named_tunnel.outputs["publicUrls"] == {"chat-interface": "https://chat.example.com"}


def test_the_tunnel_is_configured_by_cloudflare_and_has_no_secret_input(
    with_named_tunnel: Graph,
) -> None:
    (tunnel,) = with_named_tunnel.of("ZeroTrustTunnelCloudflared").values()
    assert tunnel.inputs == {
        "accountId": ACCOUNT,
        "name": "llm-stack-prod-chat-interface",
        "configSrc": "cloudflare",
    }
    assert tunnel.delete_before_replace, "Cloudflare refuses a second tunnel of one name"


def test_only_the_hostname_is_routed_to_the_service(with_named_tunnel: Graph) -> None:
    (rules,) = with_named_tunnel.of("ZeroTrustTunnelCloudflaredConfig").values()
    first, last = rules.inputs["config"]["ingresses"]
    assert (first["hostname"], first["service"]) == (
        "chat.example.com",
        "http://chat-interface:8080",
    )
    assert last == {"service": "http_status:404"}
    assert first["originRequest"]["connectTimeout"] < 30, "a dead service is reported sooner"


def test_the_hostname_is_a_proxied_cname_that_is_created_last(with_named_tunnel: Graph) -> None:
    (record,) = with_named_tunnel.of("DnsRecord").values()
    assert record.inputs["name"] == "chat.example.com"
    assert record.inputs["type"] == "CNAME"
    assert record.inputs["content"].endswith("-id.cfargotunnel.com")
    assert (record.inputs["proxied"], record.inputs["ttl"]) == (True, 1)
    assert "chat-interface-tunnel-cloudflare-rules" in record.depends_on


@pytest.mark.parametrize(
    ("name", "hostname"), [("prod", "chat.example.com"), ("dev", "chat-dev.example.com")]
)
def test_hostnames_are_one_level_below_the_domain(
    run_program: StackRunner, name: str, hostname: str
) -> None:
    graph = run_program(stack(), CLOUDFLARE, stack=name)
    (record,) = graph.of("DnsRecord").values()
    assert record.inputs["name"] == hostname, "the free certificate covers one level"


def test_a_service_can_set_its_hostname_and_replicas(run_program: StackRunner) -> None:
    own = {"chat-interface": {"subdomain": "ask", "replicas": 3}}
    graph = run_program(stack(services=own), CLOUDFLARE, stack="prod")
    assert graph.outputs["publicUrls"] == {"chat-interface": "https://ask.example.com"}
    assert set(connectors(graph)) == {f"chat-interface-tunnel-{n}" for n in (1, 2, 3)}


def test_connectors_are_hardened_and_drain(with_named_tunnel: Graph) -> None:
    for name, inputs in connectors(with_named_tunnel).items():
        assert inputs["user"] == "65532:65532", "the user of Cloudflare's image"
        assert inputs["readOnly"] is True
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["memory"] == inputs["memorySwap"] > 0
        assert inputs["networksAdvanced"][0]["aliases"] == [name]
        assert not inputs.get("ports"), "only the monitor needs its metrics"
        grace = inputs["command"][inputs["command"].index("--grace-period") + 1]
        assert inputs["destroyGraceSeconds"] == inputs["stopTimeout"] > int(grace.rstrip("s"))


def test_flags_are_in_the_positions_that_cloudflared_requires(with_named_tunnel: Graph) -> None:
    connector = connectors(with_named_tunnel)["chat-interface-tunnel-1"]
    assert connector["entrypoints"] == ["cloudflared"]
    command = connector["command"]
    assert command[0] == "tunnel"
    assert command[-1] == "run", "behind the verb they would print the help and end well"
    assert command[command.index("--metrics") + 1] == "0.0.0.0:20241"
    assert "--no-autoupdate" in command
    health = connector["healthcheck"]["tests"]
    assert health == ["CMD", "cloudflared", "tunnel", "--metrics", "127.0.0.1:20241", "ready"]


def test_a_changed_health_check_replaces_the_connector(with_named_tunnel: Graph) -> None:
    assert with_named_tunnel.running["chat-interface-tunnel-1"].replaced_on == ("healthcheck",)


def test_the_token_is_only_in_a_file(with_named_tunnel: Graph) -> None:
    carrier = with_named_tunnel.of("Container")["chat-interface-tunnel-secrets-carrier"]
    (upload,) = carrier.inputs["uploads"]
    assert upload["content"] == TUNNEL_TOKEN
    assert upload["permissions"] == "0444", "the connector runs as another user"
    connector = connectors(with_named_tunnel)["chat-interface-tunnel-1"]
    assert connector["envs"] == [f"TUNNEL_TOKEN_FILE={upload['file']}"]
    assert connector["volumes"][0]["readOnly"] is True
    assert with_named_tunnel.is_only_in_files(TUNNEL_TOKEN, "chat-interface-tunnel-secrets")
    assert TUNNEL_TOKEN not in str(with_named_tunnel.outputs)


def test_connectors_are_created_after_the_tunnel_and_removed_before_it(
    with_named_tunnel: Graph,
) -> None:
    connector = with_named_tunnel.running["chat-interface-tunnel-1"]
    assert "chat-interface-tunnel-cloudflare-tunnel" in connector.depends_on
    carrier = with_named_tunnel.of("Container")["chat-interface-tunnel-secrets-carrier"]
    assert "chat-interface-tunnel-cloudflare-tunnel" in carrier.depends_on


def test_the_monitor_checks_every_connector(run_program: StackRunner) -> None:
    graph = run_program(stack(replicas=2), CLOUDFLARE, stack="prod")
    watched = {s["name"]: s for s in graph.settings("monitor")["services"]}
    for name in ("chat-interface-tunnel-1", "chat-interface-tunnel-2"):
        assert watched[name]["kind"] == "connector"
        assert watched[name]["url"] == f"http://{name}:20241"
        assert watched[name]["depends_on"] == ["chat-interface"]


def test_a_production_stack_is_protected(with_named_tunnel: Graph) -> None:
    (tunnel,) = with_named_tunnel.of("ZeroTrustTunnelCloudflared").values()
    assert tunnel.protected
    assert with_named_tunnel.of("Volume")["phi-inference-models"].protected


def test_protection_is_disabled_by_a_setting(run_program: StackRunner) -> None:
    graph = run_program({**stack(), "protect": False}, CLOUDFLARE, stack="prod")
    assert [r.name for r in graph.resources if r.protected] == []


def test_a_given_token_replaces_the_cloudflare_resources(run_program: StackRunner) -> None:
    token = tunnel_token()
    graph = run_program(
        {
            "services": SERVICES,
            "monitor": {"socketGroup": 999},
            "tunnel": {"mode": "named", "access": "public", "replicas": 2},
            "gateway": {"hosts": ["chat.example.com"]},
        },
        {"cloudflareTunnelToken-chat-interface": token},
        stack="prod",
    )
    assert [r.type for r in graph.resources if r.type.startswith("cloudflare:")] == []
    (upload,) = graph.of("Container")["chat-interface-tunnel-secrets-carrier"].inputs["uploads"]
    assert upload["content"] == token
    assert len(connectors(graph)) == 2
    assert graph.outputs["publicUrls"] == {"chat-interface": None}, "known where it was made"


def test_the_url_of_a_quick_tunnel_is_that_of_its_last_start(run_program: StackRunner) -> None:
    graph = run_program(
        {
            "services": SERVICES,
            "monitor": {"socketGroup": 999},
            "tunnel": {"mode": "quick", "access": "public"},
        }
    )
    assert [r.type for r in graph.resources if r.type.startswith("cloudflare:")] == []
    (connector,) = connectors(graph).values()
    assert connector["command"][-2:] == ["--url", "http://chat-interface:8080"]
    assert "envs" not in connector or connector["envs"] == []
    urls = {"chat-interface": "https://second-name.trycloudflare.com"}
    assert graph.outputs["publicUrls"] == urls
    assert not graph.of("Volume")["phi-inference-models"].protected, "it is for trying"


def test_a_quick_tunnel_without_a_logged_url_is_an_error() -> None:
    with pytest.raises(pulumi.RunError, match="has not logged its URL"):
        quick_url(["ERR failed to request quick Tunnel: https://api.trycloudflare.com"])


def test_without_tunnels_there_are_no_tunnel_resources(run_program: StackRunner) -> None:
    graph = run_program({"services": SERVICES, "monitor": {"socketGroup": 999}})
    assert connectors(graph) == {}
    assert "cloudflared" not in graph.of("ServiceImage")
    assert graph.outputs["publicUrls"] == {}


def test_the_connector_image_is_built_unless_one_is_set(
    with_named_tunnel: Graph, run_program: StackRunner
) -> None:
    assert (
        connectors(with_named_tunnel)["chat-interface-tunnel-1"]["image"]
        == "sha256:cloudflared-build"
    )
    build = with_named_tunnel.of("RemoteImage")["cloudflared-build"].inputs["build"]
    assert build["buildArgs"]["BASE_IMAGE"] == "ubuntu:24.04"
    digest = "@sha256:" + "0" * 64
    image = f"cloudflare/cloudflared:2026.8.2{digest}"
    graph = run_program(stack(image=image), CLOUDFLARE, stack="prod")
    run = connectors(graph)["chat-interface-tunnel-1"]["image"]
    assert run == f"cloudflare/cloudflared{digest}"
    assert run in [one.inputs["name"] for one in graph.of("RemoteImage").values()]
    assert "cloudflared" not in graph.of("ServiceImage")


def test_a_missing_connector_image_is_a_problem_of_its_setting(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "components.preflight.published_images.find_images",
        lambda references, docker_host: dict.fromkeys(references, MissingImage("no such image")),
    )
    with pytest.raises(pulumi.RunError) as refusal:
        run_program(stack(image="cloudflared:1"), CLOUDFLARE, stack="prod")
    assert str(refusal.value) == (
        "Pulumi.prod.yaml: llm-stack:tunnel.image: the engine cannot find the image: no such image; "
        "found 'cloudflared:1'; allowed: an image of a registry that the engine reaches, or one "
        "that it has; run: docker pull cloudflared:1"
    )


def test_the_prod_stack_needs_only_the_users_values(run_program: StackRunner) -> None:
    """The shipped settings, with the values that its comments ask for."""
    shipped = yaml.safe_load((PROJECT_ROOT / "Pulumi.prod.yaml").read_text(encoding="utf-8"))
    settings = {k.removeprefix("llm-stack:"): v for k, v in shipped["config"].items()}
    settings["tunnel"] |= {
        "baseDomain": "example.com",
        "accountId": ACCOUNT,
        "zoneId": ZONE,
        "people": {"domains": ["example.com"]},
    }
    settings["monitor"] = {**settings.get("monitor", {}), "socketGroup": 999}
    graph = run_program(settings, CLOUDFLARE, stack="prod")
    assert set(graph.of("Tunnel")) == {"chat-interface-tunnel"}, "chat is the door"
    assert len(connectors(graph)) == 2
    assert not any(container.inputs.get("ports") for container in graph.running.values())
    (tunnel,) = graph.of("ZeroTrustTunnelCloudflared").values()
    assert tunnel.protected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cloudflared tunnel run --token eyJhIjoiYSJ9",
        "eyJhIjoiYSJ9",
        base64.b64encode(b'{"a":"x","t":"no uuid","s":"c2VjcmV0"}').decode(),
        base64.b64encode(b'["a"]').decode(),
    ],
)
def test_an_invalid_token_is_not_recognised(text: str) -> None:
    assert not is_tunnel_token(text)


def test_a_token_is_recognised_by_its_form() -> None:
    assert is_tunnel_token(tunnel_token())
    assert is_tunnel_token(f"{tunnel_token()}\n"), "as pasted, or as `cat` hands it over"


def test_a_stack_without_cloudflare_does_not_load_its_sdk() -> None:
    """Loading it takes seconds, at every preview."""
    code = "import components.tunnel, sys; sys.exit('pulumi_cloudflare' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=True)
