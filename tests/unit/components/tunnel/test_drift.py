"""Refreshes of what a stack has at Cloudflare: quiet, except for changes that a person made."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.doubles.cloudflare_api import CloudflareApi
from tests.doubles.cloudflare_stack import CloudflareStack
from tests.doubles.recording_engine import Graph, StackRunner
from tests.unit.components.tunnel.test_tunnel import ACCOUNT, CLOUDFLARE, ZONE, stack

PEOPLE = {"emails": ["jo@example.com"], "domains": ["example.com"]}
TUNNEL = "chat-interface-tunnel-cloudflare"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[CloudflareApi]:
    with CloudflareApi(
        account_id=ACCOUNT, zone_id=ZONE, zone_name="example.com", token="t" * 40
    ) as api:
        yield api


@pytest.fixture
def api(server: CloudflareApi) -> Iterator[CloudflareApi]:
    yield server
    server.clear()


@pytest.fixture
def declared(run_program: StackRunner, graphs: list[Graph]) -> Graph:
    """What the program declares; run once, as no test changes it."""
    if not graphs:
        settings = stack(access="access", people=PEOPLE)
        graphs.append(run_program(settings, CLOUDFLARE, stack="prod"))
    return graphs[0]


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    return []


@pytest.fixture
def deployed(api: CloudflareApi, declared: Graph) -> CloudflareStack:
    deployed = CloudflareStack(api)
    deployed.up(declared)
    return deployed


def test_nothing_differs_before_or_after_a_refresh(
    deployed: CloudflareStack, declared: Graph
) -> None:
    assert deployed.changes(declared) == []
    deployed.refresh(declared)
    assert deployed.changes(declared) == []
    deployed.api.is_connected = lambda tunnel_id: True
    deployed.refresh(declared)
    assert deployed.changes(declared) == []


def test_applications_of_earlier_versions_are_not_updated(
    api: CloudflareApi, declared: Graph
) -> None:
    """Their only input was the domain; a refresh of them was a change."""
    earlier = copy.deepcopy(declared)
    (application,) = earlier.of("ZeroTrustAccessApplication").values()
    for key in ("destinations", "appLauncherVisible", "httpOnlyCookieAttribute"):
        del application.inputs[key]
    deployed = CloudflareStack(api)
    deployed.up(earlier)
    deployed.refresh(earlier)
    assert deployed.changes(earlier) == [application.name]
    assert deployed.changes(declared) == []


def _only(objects: dict[str, Json]) -> Json:
    (only,) = objects.values()
    return only


def _rule(api: CloudflareApi) -> Json:
    rule: Json = _only(api.configurations)["config"]["ingress"][0]
    return rule


def _people(api: CloudflareApi) -> Json:
    return next(one for one in api.policies.values() if one["decision"] == "allow")


def _add_policy(api: CloudflareApi) -> None:
    api.policies["theirs"] = {**_people(api), "id": "theirs", "name": "from the dashboard"}
    _only(api.applications)["policies"].append({"id": "theirs", "precedence": 3})


def _add_hostname(api: CloudflareApi) -> None:
    application = _only(api.applications)
    application["destinations"].append({"type": "public", "uri": "other.example.com"})
    application["self_hosted_domains"].append("other.example.com")


def _move_to_another_tunnel(api: CloudflareApi) -> None:
    api.create_tunnel_in_dashboard("theirs")
    theirs = next(id for id, one in api.tunnels.items() if one["name"] == "theirs")
    _only(api.records)["content"] = f"{theirs}.cfargotunnel.com"


IN_THE_DASHBOARD: dict[str, tuple[str, Callable[[CloudflareApi], object]]] = {
    "a policy added": ("access-application", _add_policy),
    "a policy removed": (
        "access-application",
        lambda api: _only(api.applications)["policies"].pop(),
    ),
    "a hostname added": ("access-application", _add_hostname),
    "an identity provider chosen": (
        "access-application",
        lambda api: _only(api.applications).update(allowed_idps=["theirs"]),
    ),
    "hidden from the App Launcher": (
        "access-application",
        lambda api: _only(api.applications).update(app_launcher_visible=False),
    ),
    "cookies readable by scripts": (
        "access-application",
        lambda api: _only(api.applications).update(http_only_cookie_attribute=False),
    ),
    "longer sessions": (
        "access-application",
        lambda api: _only(api.applications).update(session_duration="720h"),
    ),
    "requests without credentials": (
        "access-application",
        lambda api: _only(api.applications).update(options_preflight_bypass=True),
    ),
    "a person let in": (
        "access-people",
        lambda api: _people(api)["include"].append({"email": {"email": "mallory@example.com"}}),
    ),
    "a person excluded": (
        "access-people",
        lambda api: _people(api).update(exclude=[{"email": {"email": "jo@example.com"}}]),
    ),
    "everybody let in": ("access-people", lambda api: _people(api).update(decision="bypass")),
    "a DNS record with another target": (
        "name",
        lambda api: _only(api.records).update(content="elsewhere.example.com"),
    ),
    "a hostname moved to another tunnel": ("name", _move_to_another_tunnel),
    "a DNS record without the proxy": (
        "name",
        lambda api: _only(api.records).update(proxied=False),
    ),
    "another origin": ("rules", lambda api: _rule(api).update(service="http://elsewhere:80")),
    "a rule's origin settings": (
        "rules",
        lambda api: _rule(api)["originRequest"].update(noTLSVerify=True),
    ),
    "default origin settings": (
        "rules",
        lambda api: _only(api.configurations)["config"].update(
            originRequest={"proxyType": "socks"}
        ),
    ),
    "a tunnel renamed": ("tunnel", lambda api: _only(api.tunnels).update(name="theirs")),
}


@pytest.mark.parametrize("change", IN_THE_DASHBOARD)
def test_a_change_in_the_dashboard_is_reported_and_undone(
    change: str, deployed: CloudflareStack, declared: Graph
) -> None:
    resource, make = IN_THE_DASHBOARD[change]
    make(deployed.api)
    deployed.refresh(declared)
    assert deployed.up(declared) == [f"{TUNNEL}-{resource}"]
    deployed.refresh(declared)
    assert deployed.changes(declared) == []


def test_a_new_subdomain_is_updated_and_quiet_afterwards(
    deployed: CloudflareStack, run_program: StackRunner
) -> None:
    settings = stack(
        access="access", people=PEOPLE, services={"chat-interface": {"subdomain": "new"}}
    )
    renamed = run_program(settings, CLOUDFLARE, stack="prod")
    changed = ("rules", "access-application", "name")
    assert sorted(deployed.up(renamed)) == sorted(f"{TUNNEL}-{part}" for part in changed)
    (application,) = deployed.api.applications.values()
    assert application["domain"] == "new.example.com"
    assert application["self_hosted_domains"] == ["new.example.com"]
    deployed.refresh(renamed)
    assert deployed.changes(renamed) == []
