"""The life of a production stack: deployed, scaled, crashed, with another tunnel, destroyed.

The tests run in order: each one starts with the state that the previous one left.
"""

from __future__ import annotations

import copy
import hashlib
import json
import secrets as random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import docker
import httpx
import pytest

from tests.doubles.cloudflare_api import TEAM, CloudflareApi
from tests.integration.prod.conftest import METRICS_PORT, Edge, ProdStack, address_of, wait_until
from tests.integration.prod.secret_walk import places_in_plain_text, secret_files

SERVERS = {"chat-interface", "phi-inference", "qwen-inference"}
KEY = f"sk-{random.token_hex(24)}"
SECRETS = {
    "hfToken": f"hf_{random.token_hex(16)}",
    "apiKeys": json.dumps(
        {"keys": [{"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}
    ),
}
AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}
QUESTION = {
    "model": "phi-3-mini",
    "messages": [{"role": "user", "content": "Say something."}],
    "stream": True,
    "max_tokens": 400,
}


@pytest.fixture(scope="module")
def up(prod: ProdStack) -> ProdStack:
    for key, value in SECRETS.items():
        prod.set(f"llm-stack:{key}", value, secret=True)
    prod.up()
    return prod


@pytest.fixture(scope="module")
def hostname(prod: ProdStack) -> str:
    return f"chat-{prod.name}.example.com"


@dataclass
class Traffic:
    """Results of consecutive streams, sent directly to the gateway."""

    finished: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def traffic(stack: ProdStack) -> Iterator[Traffic]:
    """Keep a stream open while the block runs."""
    url = f"http://{address_of(stack.containers()['chat-interface'])}:8080/v1/chat/completions"
    seen, over = Traffic(), threading.Event()

    def stream() -> None:
        while not over.is_set():
            try:
                seen.finished += _one_stream(url)
            except (httpx.HTTPError, AssertionError) as error:
                seen.failures.append(repr(error))

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        wait_until(lambda: seen.finished or seen.failures, "a first stream")
        yield seen
        before = seen.finished
        wait_until(lambda: seen.finished > before or seen.failures, "a last stream")
    finally:
        over.set()
        thread.join()


def _one_stream(url: str) -> int:
    with httpx.stream("POST", url, json=QUESTION, headers=AUTHORIZATION, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]", lines[-1]
    return 1


def server_starts(stack: ProdStack) -> dict[str, tuple[str, int]]:
    """Start time and number of restarts of each server."""
    return {
        name: (container.attrs["State"]["StartedAt"], container.attrs["RestartCount"])
        for name, container in stack.containers().items()
        if name in SERVERS
    }


def kill_connectors(stack: ProdStack, names: list[str]) -> None:
    """Kill each connector with SIGKILL from inside, as in a crash, not by the engine."""
    for name in names:
        wait_until(partial(answers, stack, name), f"{name} to be ready")
        connector = stack.connectors()[name]
        restarts = connector.attrs["RestartCount"]
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            httpx.post(f"http://{address_of(connector)}:{METRICS_PORT}/double/die")
        wait_until(partial(has_restarted, stack, name, restarts), f"{name} to have died")


def has_restarted(stack: ProdStack, name: str, restarts: int) -> bool:
    return bool(stack.connectors()[name].attrs["RestartCount"] > restarts)


def answers(stack: ProdStack, name: str) -> bool:
    address = address_of(stack.connectors()[name])
    try:
        return httpx.get(f"http://{address}:{METRICS_PORT}/ready").status_code == 200
    except httpx.HTTPError:
        return False


def all_connected(stack: ProdStack) -> bool:
    """Whether every connector reports that it is ready, which its health check asks each 30 s."""
    return all(answers(stack, name) for name in stack.connectors())


def crash_and_recover(stack: ProdStack) -> None:
    """Kill one connector, then all of them: no server is affected, every connector restarts."""
    lives = server_starts(stack)
    names = sorted(stack.connectors())
    with traffic(stack) as seen:
        kill_connectors(stack, names[:1])
        kill_connectors(stack, names)
    assert seen.failures == []
    assert seen.finished >= 2
    assert server_starts(stack) == lives
    wait_until(lambda: all_connected(stack), "every connector to be connected again")


# -- named ----------------------------------------------------------------------------------------


def test_the_stack_has_a_hostname_and_no_host_port(
    up: ProdStack, api: CloudflareApi, hostname: str
) -> None:
    assert up.outputs()["publicUrls"] == {"chat-interface": f"https://{hostname}"}
    (tunnel,) = api.tunnels.values()
    assert tunnel["config_src"] == "cloudflare"
    (record,) = api.records.values()
    assert (record["name"], record["content"]) == (hostname, f"{tunnel['id']}.cfargotunnel.com")
    for name, container in up.containers().items():
        assert not container.attrs["HostConfig"]["PortBindings"], name


def test_the_access_application_is_created_before_the_dns_record(
    up: ProdStack, api: CloudflareApi
) -> None:
    order = [seen.path.split("/")[-1] for seen in api.seen if seen.method in {"POST", "PUT"}]
    assert order.index("apps") < order.index("dns_records")
    assert order.index("configurations") < order.index("dns_records")
    (application,) = api.applications.values()
    assert len(application["policies"]) == 2


def test_the_gateway_has_the_application_and_the_team_after_one_update(
    up: ProdStack, api: CloudflareApi
) -> None:
    (application,) = api.applications.values()
    _, content = up.containers()["chat-interface"].exec_run(["cat", "/run/lists/access.json"])
    assert isinstance(content, bytes)
    assert json.loads(content) == {"team": TEAM, "audiences": [application["aud"]]}


def test_only_the_hostname_of_the_chat_is_routed(
    up: ProdStack, edge: Edge, api: CloudflareApi, hostname: str
) -> None:
    assert edge.request(hostname, "/v1/models").status_code == 401, "the gateway requires a key"
    models = edge.request(hostname, "/v1/models", headers=AUTHORIZATION)
    assert {m["id"] for m in models.json()["data"]} >= {"phi-3-mini", "qwen2.5-1.5b"}
    (tunnel_id,) = api.tunnels
    assert edge.through(tunnel_id, f"other-{hostname}", "/").status_code == 404


def test_an_answer_streams_through_the_tunnel(up: ProdStack, edge: Edge, hostname: str) -> None:
    answer = edge.request(
        hostname, "/v1/chat/completions", method="POST", json=QUESTION, headers=AUTHORIZATION
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_an_unchanged_stack_has_no_planned_changes(up: ProdStack) -> None:
    up.pulumi("preview", "--expect-no-changes")
    up.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    up.pulumi("preview", "--expect-no-changes")


def test_a_change_in_the_dashboard_is_reported(up: ProdStack, api: CloudflareApi) -> None:
    """A policy added, a DNS record and an origin changed, a person let in: each is a difference."""
    before = copy.deepcopy((api.applications, api.records, api.configurations, api.policies))
    (application,), (record,) = api.applications.values(), api.records.values()
    (configuration,) = api.configurations.values()
    people = next(policy for policy in api.policies.values() if policy["decision"] == "allow")
    api.policies["theirs"] = {**people, "id": "theirs", "name": "from the dashboard"}
    application["policies"].append({"id": "theirs", "precedence": 3})
    record["content"] = "elsewhere.example.com"
    configuration["config"]["ingress"][0]["service"] = "http://elsewhere:80"
    people["include"].append({"email": {"email": "mallory@example.com"}})
    try:
        preview = up.pulumi("preview", "--refresh", "--json")
    finally:
        for ours, theirs in zip(
            (api.applications, api.records, api.configurations, api.policies), before, strict=True
        ):
            ours.clear()
            ours.update(theirs)
    steps = json.loads(preview.stdout)["steps"]
    changed = {step["urn"].split("::")[-1] for step in steps if step["op"] == "update"}
    tunnel = "chat-interface-tunnel-cloudflare"
    assert changed == {
        f"{tunnel}-{part}" for part in ("access-application", "access-people", "name", "rules")
    }
    up.pulumi("preview", "--refresh", "--expect-no-changes")


def test_the_token_of_a_machine_is_a_secret_output(up: ProdStack, api: CloudflareApi) -> None:
    assert up.outputs()["machineTokens"] == {"chat-interface": "[secret]"}
    shown = json.loads(up.pulumi("stack", "output", "--json", "--show-secrets").stdout)
    (client_secret,) = api.client_secrets.values()
    assert shown["machineTokens"]["chat-interface"]["clientSecret"] == client_secret


def secrets_of(stack: ProdStack, api: CloudflareApi) -> dict[str, str]:
    tunnel_tokens = {f"tunnel {id}": api.tunnel_token(id) for id in api.tunnels}
    client_secrets = {f"machine {id}": secret for id, secret in api.client_secrets.items()}
    hashes = {"key hash": hashlib.sha256(KEY.encode()).hexdigest()}
    known = {**SECRETS, **hashes, "API token": api.token, **tunnel_tokens, **client_secrets}
    # Skip files whose secret is in the list already.
    files = {
        name: value for name, value in secret_files(stack).items() if value not in known.values()
    }
    return {**known, **files}


def test_no_secret_is_in_plain_text_anywhere(up: ProdStack, api: CloudflareApi) -> None:
    secrets = secrets_of(up, api)
    files = set(secret_files(up).values())
    assert files > {*SECRETS.values(), *map(api.tunnel_token, api.tunnels)}
    assert places_in_plain_text(up, secrets, {}) == []


def test_the_secret_walk_finds_a_misplaced_secret(
    up: ProdStack, api: CloudflareApi, engine: docker.DockerClient
) -> None:
    careless = engine.containers.create(
        up.containers()["monitor"].attrs["Image"],
        environment={"HF_TOKEN": SECRETS["hfToken"]},
        labels={"llm-stack.stack": up.name},
    )
    try:
        found = places_in_plain_text(up, secrets_of(up, api), {"a log": f"Bearer {api.token}"})
    finally:
        careless.remove()
    assert sorted(found) == ["API token: a log", f"hfToken: docker inspect {careless.name}"]


def test_connectors_are_scaled_without_a_change_of_servers(up: ProdStack) -> None:
    before = up.ids()
    up.change(tunnel={"replicas": 3})
    up.up()
    after = up.ids()
    assert sorted(up.connectors()) == [f"chat-interface-tunnel-{n}" for n in (1, 2, 3)]
    kept = {*SERVERS, "chat-interface-tunnel-1"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    wait_until(lambda: all_connected(up), "every connector to be healthy")


def test_crashed_connectors_do_not_affect_servers(up: ProdStack) -> None:
    crash_and_recover(up)


def test_a_protected_tunnel_is_not_destroyed(up: ProdStack, api: CloudflareApi) -> None:
    refused = up.pulumi("destroy", "--yes", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert len(api.tunnels) == 1
    assert set(up.containers()) >= SERVERS, "the preview fails before anything is stopped"


def test_the_connectors_of_a_replaced_tunnel_are_removed_first(
    up: ProdStack, api: CloudflareApi, edge: Edge, hostname: str
) -> None:
    """The API refuses to delete a tunnel with connectors, and a second tunnel of that name."""
    up.change(protect=False, tunnel={"replicas": 1})
    up.up()
    lives = server_starts(up)
    (old,) = api.tunnels
    resources = json.loads(up.state())["deployment"]["resources"]
    (urn,) = [r["urn"] for r in resources if r["type"].endswith(":ZeroTrustTunnelCloudflared")]
    up.pulumi("up", "--yes", "--skip-preview", "--replace", urn)
    (new,) = api.tunnels
    assert new != old
    assert [seen.status for seen in api.calls(f"DELETE .*/cfd_tunnel/{old}$")] == [200]
    assert edge.request(hostname, "/v1/models", headers=AUTHORIZATION).status_code == 200
    assert server_starts(up) == lives


# -- token ----------------------------------------------------------------------------------------


def test_the_token_of_an_existing_tunnel_replaces_the_stacks_tunnel(
    up: ProdStack, api: CloudflareApi, edge: Edge, hostname: str
) -> None:
    lives = server_starts(up)
    token = api.create_tunnel_in_dashboard("created in the dashboard")
    (theirs,) = [id for id in api.tunnels if api.tunnel_token(id) == token]
    up.set("llm-stack:cloudflareTunnelToken-chat-interface", token, secret=True)
    up.change(tunnel={"access": "key"}, gateway={"access": None, "hosts": [hostname]})
    up.up()
    assert set(api.tunnels) == {theirs}, "the stack's tunnel is deleted, the existing one is not"
    assert not api.records
    assert edge.is_connected(theirs)
    # Its settings name no Access application any more.
    chat = {"chat-interface": lives["chat-interface"]}
    assert server_starts(up) | chat == lives
    assert places_in_plain_text(up, {"given token": token}, {}) == []


def test_crashed_connectors_of_an_existing_tunnel_do_not_affect_servers(up: ProdStack) -> None:
    crash_and_recover(up)


# -- quick ----------------------------------------------------------------------------------------


def quick_hostname(stack: ProdStack) -> str:
    (connector,) = stack.connectors().values()
    answer = httpx.get(f"http://{address_of(connector)}:{METRICS_PORT}/quicktunnel")
    hostname: str = answer.json()["hostname"]
    return hostname


def test_the_url_of_a_quick_tunnel_is_an_output(up: ProdStack, api: CloudflareApi) -> None:
    up.change(**{"cloudflareTunnelToken-chat-interface": None})
    up.change(tunnel={"mode": "quick", "access": "public"})
    up.up()
    assert up.outputs()["publicUrls"] == {"chat-interface": f"https://{quick_hostname(up)}"}


def test_a_crashed_quick_tunnel_has_a_new_url_and_the_next_update_outputs_it(
    up: ProdStack,
) -> None:
    before = quick_hostname(up)
    crash_and_recover(up)
    assert quick_hostname(up) != before
    up.up()
    assert up.outputs()["publicUrls"] == {"chat-interface": f"https://{quick_hostname(up)}"}
    up.pulumi("preview", "--expect-no-changes")


# -- destroy --------------------------------------------------------------------------------------


def test_a_running_stack_with_a_tunnel_is_destroyed_at_once(
    up: ProdStack, api: CloudflareApi, engine: docker.DockerClient
) -> None:
    up.change(tunnel={"mode": "named", "access": "access", "replicas": 2})
    up.up()
    assert len(up.connectors()) == 2
    (ours,) = [id for id, tunnel in api.tunnels.items() if up.name in tunnel["name"]]
    up.pulumi("destroy", "--yes", "--skip-preview")
    assert ours not in api.tunnels
    left = [api.records, api.applications, api.policies, api.service_tokens]
    assert left == [{}, {}, {}, {}]
    label: dict[str, Any] = {"label": f"llm-stack.stack={up.name}"}
    assert engine.containers.list(all=True, filters=label) == []
    kept = {volume.name for volume in engine.volumes.list(filters=label)}
    assert kept == {f"{up.name}-{name}-models" for name in SERVERS - {"chat-interface"}}
