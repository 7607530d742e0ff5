"""Access to public services: Cloudflare Access, API keys, and refused settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs

from components.config.loading import load_settings
from components.config.problems import SettingsError
from components.kinds.catalogue import load_catalogue
from components.plan.plan import Plan
from components.plan.validation import make_plan
from tests.doubles.recording_engine import (
    AUDIENCE,
    CLIENT_SECRET,
    Graph,
    RecordingMocks,
    StackRunner,
)
from tests.unit.components.conftest import PROJECT_ROOT
from tests.unit.components.tunnel.test_tunnel import (
    CLOUDFLARE,
    NAMED,
    SERVICES,
    CutShort,
    stack,
    tunnel_token,
)

PEOPLE = {"emails": ["jo@example.com"], "domains": ["example.com"]}
KEYS = {"apiKeys": '{"keys": []}'}


@pytest.fixture
def with_access(run_program: StackRunner) -> Graph:
    return run_program(stack(access="access", people=PEOPLE), CLOUDFLARE, stack="prod")


def test_access_allows_people_by_email_or_domain_and_machines_by_token(with_access: Graph) -> None:
    policies = with_access.of("ZeroTrustAccessPolicy")
    people = policies["chat-interface-tunnel-cloudflare-access-people"].inputs
    assert people["decision"] == "allow"
    assert people["includes"] == [
        {"email": {"email": "jo@example.com"}},
        {"emailDomain": {"domain": "example.com"}},
    ]
    machines = policies["chat-interface-tunnel-cloudflare-access-machines"].inputs
    assert machines["decision"] == "non_identity"
    token_id = "chat-interface-tunnel-cloudflare-access-machine-token-id"
    assert machines["includes"] == [{"serviceToken": {"tokenId": token_id}}]


def test_the_application_protects_the_hostname(with_access: Graph) -> None:
    (application,) = with_access.of("ZeroTrustAccessApplication").values()
    assert application.inputs["domain"] == "chat.example.com"
    assert application.inputs["type"] == "self_hosted"
    assert [policy["precedence"] for policy in application.inputs["policies"]] == [1, 2]


def test_the_access_application_is_created_before_the_dns_record(with_access: Graph) -> None:
    (record,) = with_access.of("DnsRecord").values()
    assert "chat-interface-tunnel-cloudflare-access-application" in record.depends_on


def test_the_token_of_a_machine_is_a_secret_output(with_access: Graph) -> None:
    machine = with_access.outputs["machineTokens"]["chat-interface"]
    assert machine == {"clientId": "client-id", "clientSecret": CLIENT_SECRET}
    assert "machineTokens" in with_access.secret_outputs
    assert "publicUrls" not in with_access.secret_outputs


def test_the_audience_of_the_application_is_an_output(with_access: Graph) -> None:
    assert with_access.outputs["accessAudiences"] == {"chat-interface": AUDIENCE}


def with_identities(**access: Any) -> dict[str, Any]:
    return {**stack(access="access", people=PEOPLE), "gateway": {"access": access}}


def identities(graph: Graph) -> Any:
    """What the gateway reads while it runs."""
    return json.loads(graph.list_file("chat-interface", "access.json"))


def test_one_update_gives_the_gateway_the_team_and_the_audience(run_program: StackRunner) -> None:
    graph = run_program(with_identities(tokensPerDay=1000), CLOUDFLARE, stack="prod")
    assert identities(graph) == {"team": "own-team", "audiences": [AUDIENCE]}
    assert graph.settings("chat-interface")["access"] == {
        "applications": "/run/lists/access.json",
        "tokens_per_day": 1000,
    }


def test_the_application_exists_before_the_gateway_and_the_tunnel_after_it(
    run_program: StackRunner,
) -> None:
    graph = run_program(with_identities(team="my-team"), CLOUDFLARE, stack="prod")
    by_name = {one.name: one for one in graph.resources}
    application = "chat-interface-tunnel-cloudflare-access-application"
    assert application in by_name["chat-interface-lists"].depends_on
    assert "chat-interface-lists" in by_name["chat-interface"].depends_on
    tunnel = "chat-interface-tunnel-cloudflare-tunnel"
    assert "chat-interface-gate" in by_name[tunnel].depends_on
    assert tunnel in by_name["chat-interface-tunnel-1"].depends_on


def test_a_team_that_is_set_is_not_looked_up(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = RecordingMocks.call

    def call(mocks: RecordingMocks, args: MockCallArgs) -> dict[str, Any]:
        assert not args.token.endswith(":getZeroTrustOrganization")
        return known(mocks, args)

    monkeypatch.setattr(RecordingMocks, "call", call)
    more = "b" * 64
    access = with_identities(team="my-team", audiences=[more, AUDIENCE])
    graph = run_program(access, CLOUDFLARE, stack="prod")
    assert identities(graph) == {"team": "my-team", "audiences": [AUDIENCE, more]}


def test_a_team_that_cannot_be_read_is_reported_with_the_setting(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = RecordingMocks.call

    def call(mocks: RecordingMocks, args: MockCallArgs) -> dict[str, Any]:
        if args.token.endswith(":getZeroTrustOrganization"):
            raise CutShort
        return known(mocks, args)

    monkeypatch.setattr(RecordingMocks, "call", call)
    with pytest.raises(pulumi.RunError, match=r"config set --path llm-stack:gateway\.access\.team"):
        run_program(with_identities(rpm=1), CLOUDFLARE, stack="prod")


def test_applications_that_were_made_elsewhere_are_settings(run_program: StackRunner) -> None:
    access = {"team": "my-team", "audiences": [AUDIENCE]}
    settings = {**stack(access="public"), "gateway": {"access": access}}
    graph = run_program(settings, CLOUDFLARE, stack="prod")
    assert graph.settings("chat-interface")["access"] == access


@pytest.mark.parametrize("access", ["public", "key"])
def test_without_cloudflare_access_there_is_no_application(
    run_program: StackRunner, access: str
) -> None:
    graph = run_program(stack(access=access), {**CLOUDFLARE, **KEYS}, stack="prod")
    assert not any("Access" in r.type for r in graph.resources)


def test_the_gateway_receives_api_keys_as_a_file(run_program: StackRunner) -> None:
    graph = run_program(stack(access="key"), {**CLOUDFLARE, **KEYS}, stack="prod")
    written = graph.of("Stash")["chat-interface-secrets"].inputs["input"]["files"]
    assert written == {"api_keys.json": KEYS["apiKeys"]}
    assert graph.settings("chat-interface")["requires_keys"] is True
    mounts = graph.running["chat-interface"].inputs["volumes"]
    assert {"/run/secrets", "/run/lists"} <= {mount["containerPath"] for mount in mounts}
    writable = {mount["containerPath"] for mount in mounts if not mount["readOnly"]}
    assert writable == {"/var/lib/chat"}


def test_an_inference_service_is_public_only_behind_access(run_program: StackRunner) -> None:
    own = {"phi-inference": {"mode": "named", "access": "access", "people": PEOPLE}}
    graph = run_program(stack(services=own), CLOUDFLARE, stack="prod")
    assert graph.outputs["publicUrls"] == {
        "chat-interface": "https://chat.example.com",
        "phi-inference": "https://phi.example.com",
    }
    (application,) = graph.of("ZeroTrustAccessApplication").values()
    assert application.inputs["domain"] == "phi.example.com"


Planner = Callable[..., Plan]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Planner:
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def make(secrets: dict[str, str], tunnel: dict[str, Any], clear: dict[str, str]) -> Plan:
        values = {"services": SERVICES, "tunnel": tunnel}
        encoded = {f"llm-stack:{key}": json.dumps(value) for key, value in values.items()}
        encrypted = {k if ":" in k else f"llm-stack:{k}": v for k, v in secrets.items()}
        pulumi.runtime.set_all_config({**encoded, **encrypted, **clear}, list(encrypted))
        catalogue = load_catalogue(PROJECT_ROOT / "services.yaml")
        return make_plan("prod", load_settings("prod"), catalogue)

    return make


# Each row: secrets, tunnel settings, and the whole message.
REFUSALS: list[tuple[dict[str, str], dict[str, Any], str]] = [
    (
        CLOUDFLARE,
        {"mode": "named", "access": "public", "accountId": "a" * 32, "zoneId": "b" * 32},
        "Pulumi.prod.yaml: llm-stack:tunnel.baseDomain: is missing for the named tunnel of "
        "chat-interface; run: pulumi config set --path llm-stack:tunnel.baseDomain example.com",
    ),
    (
        {},
        NAMED,
        "Pulumi.prod.yaml: llm-stack:tunnel.mode: no Cloudflare credentials for the named "
        "tunnel of chat-interface; run: pulumi config set --secret cloudflare:apiToken",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "access": None},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat-interface.access: is missing: who "
        "may use chat-interface from the internet; allowed: access, key, public; run: pulumi "
        "config set --path llm-stack:tunnel.services.chat-interface.access access",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "access": "key"},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat-interface.access: the gateway has "
        "no API keys; found 'key'; run: pulumi config set --secret llm-stack:apiKeys < "
        "api_keys.json",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "access": "access"},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat-interface.people: is empty, so "
        "Cloudflare Access would deny everyone; run: pulumi config set --path "
        "'llm-stack:tunnel.people.emails[0]' jo@example.com",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "services": {"phi-inference": {"mode": "named"}}},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.phi-inference.access: only the gateway limits its clients; found 'public'; allowed: access",
    ),
    (
        {},
        {"mode": "quick", "access": "access"},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat-interface.access: Cloudflare Access "
        "needs a fixed hostname; quick tunnels have none; found 'access'; allowed: key, public",
    ),
    (
        {},
        {"mode": "quick"},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat-interface.access: is missing: who "
        "may use chat-interface from the internet; allowed: key, public; run: pulumi "
        "config set --path llm-stack:tunnel.services.chat-interface.access key",
    ),
    (
        {},
        {"mode": "quick", "access": "public", "replicas": 2},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat-interface.replicas: every connector "
        "of a quick tunnel has another hostname; found 2; allowed: 1; run: pulumi config "
        "set --path llm-stack:tunnel.services.chat-interface.replicas 1",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "services": {"chat": {"mode": "off"}}},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat: is not a service of this stack; "
        "allowed: chat-interface, phi-inference, qwen-inference; run: pulumi config rm --path "
        "'llm-stack:tunnel.services.chat'",
    ),
    (
        CLOUDFLARE,
        {
            **NAMED,
            "access": "access",
            "people": PEOPLE,
            "services": {"phi-inference": {"mode": "named", "subdomain": "chat"}},
        },
        "Pulumi.prod.yaml: llm-stack:tunnel.services: 2 services would have the hostname "
        "chat.example.com; allowed: a subdomain for each",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "mode": "nmaed"},
        "Pulumi.prod.yaml: llm-stack:tunnel.mode: is not a valid value; found 'nmaed'; did "
        "you mean 'named'? allowed: named, off, quick; run: pulumi config set --path "
        "'llm-stack:tunnel.mode' <value>",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "accountId": "my account"},
        "Pulumi.prod.yaml: llm-stack:tunnel.accountId: is not a valid Cloudflare ID; found "
        "'my account'; allowed: 32 of 0-9 and a-f, as the zone's overview page shows them; run: "
        "pulumi config set --path 'llm-stack:tunnel.accountId' <value>",
    ),
    (
        CLOUDFLARE,
        {**NAMED, "baseDomain": "https://example.com"},
        "Pulumi.prod.yaml: llm-stack:tunnel.baseDomain: is not a valid domain; found "
        "'https://example.com'; allowed: a name such as example.com; run: pulumi config set "
        "--path 'llm-stack:tunnel.baseDomain' <value>",
    ),
    (
        {"cloudflareTunnelToken-chat-interface": "cloudflared tunnel run --token eyJh"},
        {"mode": "named", "access": "public"},
        "Pulumi.prod.yaml: llm-stack:cloudflareTunnelToken-chat-interface: is not a valid "
        "tunnel token; allowed: the text that Cloudflare shows after `--token`, beginning with "
        "eyJ; run: pulumi config set --secret cloudflareTunnelToken-chat-interface",
    ),
    (
        {"cloudflareTunnelToken-chat-interface": tunnel_token()},
        {"mode": "off"},
        "Pulumi.prod.yaml: llm-stack:tunnel.services.chat-interface.mode: "
        "cloudflareTunnelToken-chat-interface is set, but the tunnel is not a named one; found "
        "'off'; allowed: named; run: pulumi config set --path "
        "llm-stack:tunnel.services.chat-interface.mode named",
    ),
    (
        {"cloudflareTunnelToken-chat": tunnel_token()},
        {"mode": "off"},
        "Pulumi.prod.yaml: llm-stack:cloudflareTunnelToken-chat: 'chat' is not a service of "
        "this stack; allowed: chat-interface, phi-inference, qwen-inference; run: pulumi config "
        "rm llm-stack:cloudflareTunnelToken-chat",
    ),
]


@pytest.mark.parametrize(("secrets", "tunnel", "message"), REFUSALS)
def test_an_invalid_tunnel_is_refused_before_any_resource_exists(
    plan: Planner, secrets: dict[str, str], tunnel: dict[str, Any], message: str
) -> None:
    tunnel = {key: value for key, value in tunnel.items() if value is not None}
    with pytest.raises(SettingsError) as refusal:
        plan(secrets, tunnel, {"llm-stack:gateway": json.dumps({"hosts": ["chat.example.com"]})})
    shown = [str(replace(problem, line=None)) for problem in refusal.value.problems]
    assert shown == [message]
    assert not any(value in message for value in secrets.values()), "a secret is never shown"


def test_the_hostname_of_a_tunnel_that_was_made_elsewhere_is_required(plan: Planner) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(
            {"cloudflareTunnelToken-chat-interface": tunnel_token()},
            {"mode": "named", "access": "public"},
            {},
        )
    (problem,) = refusal.value.problems
    assert str(replace(problem, line=None)) == (
        "Pulumi.prod.yaml: llm-stack:gateway.hosts: is missing: the hostname of the tunnel of "
        "chat-interface, which was made elsewhere; run: pulumi config set --path "
        "'llm-stack:gateway.hosts[0]' chat.example.com"
    )


def test_all_missing_settings_are_reported_at_once(plan: Planner) -> None:
    with pytest.raises(SettingsError) as refusal:
        plan({}, {"mode": "named", "access": "public"}, {})
    keys = [problem.key for problem in refusal.value.problems]
    assert keys == [
        "llm-stack:tunnel.baseDomain",
        "llm-stack:tunnel.accountId",
        "llm-stack:tunnel.zoneId",
        "llm-stack:tunnel.mode",
    ]


def test_without_an_application_of_the_stack_team_and_audiences_are_needed(plan: Planner) -> None:
    gateway = {"llm-stack:gateway": '{"access": {"rpm": 5}}'}
    with pytest.raises(SettingsError) as refusal:
        plan(CLOUDFLARE, NAMED, gateway)
    team, audiences = [str(replace(problem, line=None)) for problem in refusal.value.problems]
    assert team == (
        "Pulumi.prod.yaml: llm-stack:gateway.access.team: is missing: the stack makes no Access "
        "application for chat-interface; run: pulumi config set --path "
        "llm-stack:gateway.access.team my-team"
    )
    assert "gateway.access.audiences: is missing" in audiences


def test_an_api_token_in_plain_text_is_refused(plan: Planner) -> None:
    with pytest.raises(
        SettingsError, match="cloudflare:apiToken: is stored in plain text"
    ) as refusal:
        plan({}, NAMED, {"cloudflare:apiToken": "t" * 40})
    assert "t" * 40 not in str(refusal.value)
    assert "pulumi config set --secret cloudflare:apiToken" in str(refusal.value)


def test_a_tunnel_token_in_plain_text_is_refused(plan: Planner) -> None:
    key = "llm-stack:cloudflareTunnelToken-chat-interface"
    with pytest.raises(SettingsError, match="is stored in plain text"):
        plan({}, {"mode": "named", "access": "public"}, {key: tunnel_token()})


def test_credentials_in_the_environment_are_accepted(
    plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "t" * 40)
    assert set(plan({}, NAMED, {}).tunnels) == {"chat-interface"}
