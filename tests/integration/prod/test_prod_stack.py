"""A prod-shaped stack's life: opened, scaled, crashed, handed another tunnel, taken down.

The tests are one story, in order: each begins with what the one before it left.
"""

from __future__ import annotations

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

from tests.doubles.cloudflare_api import CloudflareApi
from tests.integration.prod.conftest import METRICS_PORT, Edge, ProdStack, address_of, wait_until
from tests.integration.prod.secret_walk import handed_over, places_in_clear

SERVERS = {"chat-interface", "phi-inference", "qwen-inference"}
KEY = f"sk-{random.token_hex(24)}"
SECRETS = {
    "hfToken": f"hf_{random.token_hex(16)}",
    "ghModelsToken": f"github_pat_{random.token_hex(16)}",
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
    """Streams that run back to back, straight at the gateway."""

    finished: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def traffic(stack: ProdStack) -> Iterator[Traffic]:
    """Keep a stream in flight for as long as the block runs."""
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


def server_lives(stack: ProdStack) -> dict[str, tuple[str, int]]:
    """Of each server: since when it runs, and how often it was restarted."""
    return {
        name: (container.attrs["State"]["StartedAt"], container.attrs["RestartCount"])
        for name, container in stack.containers().items()
        if name in SERVERS
    }


def kill_connectors(stack: ProdStack, names: list[str]) -> None:
    """Each dies of SIGKILL from within, as of a crash: the engine has no hand in it."""
    for name in names:
        wait_until(partial(answers, stack, name), f"{name} to be there")
        connector = stack.connectors()[name]
        restarts = connector.attrs["RestartCount"]
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            httpx.post(f"http://{address_of(connector)}:{METRICS_PORT}/stand-in/die")
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
    connectors = stack.connectors().values()
    return all(c.attrs["State"].get("Health", {}).get("Status") == "healthy" for c in connectors)


def crash_and_recover(stack: ProdStack) -> None:
    """Kill one connector, then all of them: no server notices, and every connector comes back."""
    lives = server_lives(stack)
    names = sorted(stack.connectors())
    with traffic(stack) as seen:
        kill_connectors(stack, names[:1])
        kill_connectors(stack, names)
    assert seen.failures == []
    assert seen.finished >= 2
    assert server_lives(stack) == lives
    wait_until(lambda: all_connected(stack), "every connector to be back")


# -- named ----------------------------------------------------------------------------------------


def test_it_comes_up_with_a_name_and_without_a_port(
    up: ProdStack, api: CloudflareApi, hostname: str
) -> None:
    assert up.outputs()["publicUrls"] == {"chat-interface": f"https://{hostname}"}
    (tunnel,) = api.tunnels.values()
    assert tunnel["config_src"] == "cloudflare"
    (record,) = api.records.values()
    assert (record["name"], record["content"]) == (hostname, f"{tunnel['id']}.cfargotunnel.com")
    for name, container in up.containers().items():
        assert not container.attrs["HostConfig"]["PortBindings"], name


def test_the_lock_was_there_before_the_door(up: ProdStack, api: CloudflareApi) -> None:
    order = [seen.path.split("/")[-1] for seen in api.seen if seen.method in {"POST", "PUT"}]
    assert order.index("apps") < order.index("dns_records")
    assert order.index("configurations") < order.index("dns_records")
    (application,) = api.applications.values()
    assert len(application["policies"]) == 2


def test_the_name_leads_to_the_chat_and_others_nowhere(
    up: ProdStack, edge: Edge, api: CloudflareApi, hostname: str
) -> None:
    assert edge.request(hostname, "/v1/models").status_code == 401, "the gateway asks for a key"
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


def test_nothing_changes_when_nothing_changed(up: ProdStack) -> None:
    up.pulumi("preview", "--expect-no-changes")
    up.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    up.pulumi("preview", "--expect-no-changes")


def test_a_machine_gets_a_token_that_only_the_asked_see(up: ProdStack, api: CloudflareApi) -> None:
    assert up.outputs()["machineTokens"] == {"chat-interface": "[secret]"}
    shown = json.loads(up.pulumi("stack", "output", "--json", "--show-secrets").stdout)
    (client_secret,) = api.client_secrets.values()
    assert shown["machineTokens"]["chat-interface"]["clientSecret"] == client_secret


def secrets_of(stack: ProdStack, api: CloudflareApi) -> dict[str, str]:
    tunnel_tokens = {f"tunnel {id}": api.tunnel_token(id) for id in api.tunnels}
    client_secrets = {f"machine {id}": secret for id, secret in api.client_secrets.items()}
    hashes = {"key hash": hashlib.sha256(KEY.encode()).hexdigest()}
    known = {**SECRETS, **hashes, "API token": api.token, **tunnel_tokens, **client_secrets}
    # A file that is one of these already is not told twice.
    files = {
        name: value for name, value in handed_over(stack).items() if value not in known.values()
    }
    return {**known, **files}


def test_no_secret_stands_anywhere_in_clear(up: ProdStack, api: CloudflareApi) -> None:
    secrets = secrets_of(up, api)
    files = set(handed_over(up).values())
    assert files > {*SECRETS.values(), *map(api.tunnel_token, api.tunnels)}
    assert places_in_clear(up, secrets, {}) == []


def test_the_secret_walk_sees_a_secret_that_is_misplaced(
    up: ProdStack, api: CloudflareApi, engine: docker.DockerClient
) -> None:
    careless = engine.containers.create(
        up.containers()["monitor"].attrs["Image"],
        environment={"HF_TOKEN": SECRETS["hfToken"]},
        labels={"llm-stack.stack": up.name},
    )
    try:
        found = places_in_clear(up, secrets_of(up, api), {"a log": f"Bearer {api.token}"})
    finally:
        careless.remove()
    assert sorted(found) == ["API token: a log", f"hfToken: docker inspect {careless.name}"]


def test_connectors_scale_without_touching_a_server(up: ProdStack) -> None:
    before = up.ids()
    up.change(tunnel={"replicas": 3})
    up.up()
    after = up.ids()
    assert sorted(up.connectors()) == [f"chat-interface-tunnel-{n}" for n in (1, 2, 3)]
    kept = {*SERVERS, "chat-interface-tunnel-1"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    wait_until(lambda: all_connected(up), "every connector to be called healthy")


def test_crashed_connectors_harm_no_server(up: ProdStack) -> None:
    crash_and_recover(up)


def test_a_protected_tunnel_is_not_destroyed(up: ProdStack, api: CloudflareApi) -> None:
    refused = up.pulumi("destroy", "--yes", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert len(api.tunnels) == 1
    assert set(up.containers()) >= SERVERS, "the preview refuses before anything is stopped"


def test_a_replaced_tunnel_lets_its_connectors_go_first(
    up: ProdStack, api: CloudflareApi, edge: Edge, hostname: str
) -> None:
    """The real API refuses the tunnel's deletion while they run, and a second one of its name."""
    up.change(protect=False, tunnel={"replicas": 1})
    up.up()
    lives = server_lives(up)
    (old,) = api.tunnels
    resources = json.loads(up.state())["deployment"]["resources"]
    (urn,) = [r["urn"] for r in resources if r["type"].endswith(":ZeroTrustTunnelCloudflared")]
    up.pulumi("up", "--yes", "--skip-preview", "--replace", urn)
    (new,) = api.tunnels
    assert new != old
    assert [seen.status for seen in api.calls(f"DELETE .*/cfd_tunnel/{old}$")] == [200]
    assert edge.request(hostname, "/v1/models", headers=AUTHORIZATION).status_code == 200
    assert server_lives(up) == lives


# -- given ----------------------------------------------------------------------------------------


def test_a_token_made_elsewhere_takes_the_tunnels_place(
    up: ProdStack, api: CloudflareApi, edge: Edge
) -> None:
    lives = server_lives(up)
    token = api.make_tunnel_by_hand("made in the dashboard")
    (theirs,) = [id for id in api.tunnels if api.tunnel_token(id) == token]
    up.set("llm-stack:cloudflareTunnelToken-chat-interface", token, secret=True)
    up.change(tunnel={"access": "key"})
    up.up()
    assert set(api.tunnels) == {theirs}, "the stack's own is gone, theirs is untouched"
    assert not api.records
    assert edge.is_connected(theirs)
    assert server_lives(up) == lives
    assert places_in_clear(up, {"given token": token}, {}) == []


def test_crashed_connectors_of_a_given_tunnel_harm_no_server(up: ProdStack) -> None:
    crash_and_recover(up)


# -- quick ----------------------------------------------------------------------------------------


def quick_hostname(stack: ProdStack) -> str:
    (connector,) = stack.connectors().values()
    answer = httpx.get(f"http://{address_of(connector)}:{METRICS_PORT}/quicktunnel")
    hostname: str = answer.json()["hostname"]
    return hostname


def test_a_quick_tunnel_tells_where_it_is(up: ProdStack, api: CloudflareApi) -> None:
    up.change(**{"cloudflareTunnelToken-chat-interface": None})
    up.change(tunnel={"mode": "quick", "access": "public"})
    up.up()
    assert up.outputs()["publicUrls"] == {"chat-interface": f"https://{quick_hostname(up)}"}


def test_a_crashed_quick_tunnel_has_another_address_and_the_next_update_tells_it(
    up: ProdStack,
) -> None:
    before = quick_hostname(up)
    crash_and_recover(up)
    assert quick_hostname(up) != before
    up.up()
    assert up.outputs()["publicUrls"] == {"chat-interface": f"https://{quick_hostname(up)}"}
    up.pulumi("preview", "--expect-no-changes")


# -- and away -------------------------------------------------------------------------------------


def test_a_live_stack_with_a_tunnel_is_destroyed_in_one_go(
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
