"""Alerts: from a stack's secrets and settings to the monitor's settings."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from app.monitor.settings import Settings
from tests.doubles.recording_engine import Graph, StackRunner

STACK = {"services": ["chat-interface"], "monitor": {"socketGroup": 999}}
TEAM = "https://hooks.slack.com/services/not-a-real-one"
PHONE = "https://discord.com/api/webhooks/not-a-real-one"
OTHER = "https://chat.example.com/hooks/not-a-real-one"
HEARTBEAT = "https://beat.example.com/not-a-real-one"


def secrets(**webhooks: str) -> dict[str, str]:
    return {f"alertWebhook-{name}": address for name, address in webhooks.items()}


def monitor_settings(graph: Graph) -> Settings:
    """Parsed with the monitor's models, which it uses at its start."""
    return Settings.model_validate(graph.settings("monitor"))


def test_a_webhook_has_the_format_of_its_host(run_program: StackRunner) -> None:
    given = {"formats": {"other": "slack"}, "remindEvery": 600, "pageUrl": "https://example.com/"}
    graph = run_program(
        {**STACK, "monitor": {"socketGroup": 999, "alerts": given}},
        secrets=secrets(team=TEAM, phone=PHONE, other=OTHER, plain=HEARTBEAT),
    )
    alerts = monitor_settings(graph).alerts
    assert {hook.name: hook.format for hook in alerts.webhooks} == {
        "team": "slack",
        "phone": "discord",
        "other": "slack",
        "plain": "generic",
    }
    assert (alerts.remind_every, str(alerts.page_url)) == (600, "https://example.com/")
    files = {
        upload["file"]: upload["content"]
        for upload in graph.of("Container")["monitor-secrets-carrier"].inputs["uploads"]
    }
    assert [files[str(hook.url_file)] for hook in alerts.webhooks] == [
        TEAM,
        PHONE,
        OTHER,
        HEARTBEAT,
    ]


def test_the_urls_are_only_in_their_files_and_encrypted(run_program: StackRunner) -> None:
    graph = run_program(STACK, secrets={**secrets(team=TEAM), "heartbeatUrl": HEARTBEAT})
    heartbeat = monitor_settings(graph).alerts.heartbeat_url_file
    carrier = graph.of("Container")["monitor-secrets-carrier"]
    assert {upload["file"] for upload in carrier.inputs["uploads"]} >= {
        "/run/secrets/webhook-team",
        str(heartbeat),
    }
    assert graph.is_only_in_files("not-a-real-one", "monitor-secrets")


def test_without_webhooks_there_are_no_alerts(run_program: StackRunner) -> None:
    assert monitor_settings(run_program(STACK)).alerts.webhooks == ()


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        (
            {"alertWebhook-team": TEAM},
            secrets(phone=PHONE),
            "alertWebhook-team: is stored in plain text; revoke it at its issuer; run: "
            "pulumi config set --secret alertWebhook-team",
        ),
        (
            {},
            secrets(team="not-a-real-one"),
            "alertWebhook-team: is not a valid URL; allowed: https://…; run: pulumi config set --secret "
            "alertWebhook-team",
        ),
        (
            {},
            secrets(Team=TEAM),
            "alertWebhook-Team: does not end in a valid name; allowed: 1 to 32 of a-z, 0-9 and -, "
            "not - first; run: pulumi config rm alertWebhook-Team",
        ),
        (
            {"monitor": {"alerts": {"formats": {"tem": "slack"}}}},
            secrets(team=TEAM),
            "monitor.alerts.formats.tem: there is no secret alertWebhook-tem; did you mean 'team'? "
            "allowed: team",
        ),
        (
            {},
            {"heartbeatUrl": "not-a-real-one"},
            "heartbeatUrl: is not a valid URL; allowed: https://…; run: pulumi config set --secret "
            "heartbeatUrl",
        ),
    ],
)
def test_an_invalid_webhook_is_refused_without_showing_the_url(
    run_program: StackRunner, config: dict[str, Any], given: dict[str, str], message: str
) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_program({**STACK, **config}, secrets=given)
    assert str(refusal.value) == f"Pulumi.test.yaml: llm-stack:{message}"
