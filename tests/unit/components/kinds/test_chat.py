"""The gateway's settings: gateway.json has the settings of the stack and no others."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from app.chat.settings import GatewaySettings
from tests.doubles.recording_engine import Graph, StackRunner

STACK = {"services": ["chat-interface", "phi-inference"], "monitor": {"socketGroup": 999}}


def gateway(graph: Graph) -> dict[str, Any]:
    (upload,) = graph.of("Container")["chat-interface-config-carrier"].inputs["uploads"]
    content: dict[str, Any] = json.loads(upload["content"])
    return content


def test_only_configured_settings_are_written(run_program: StackRunner) -> None:
    assert gateway(run_program(STACK)).keys() == {"models", "drain_seconds"}


def test_every_section_can_be_set(run_program: StackRunner) -> None:
    settings = {
        "limits": {"queueSeconds": 60, "attempts": 2},
        "keepAlive": {"interval": 30},
        "breaker": {"coolDownSeconds": 5},
        "health": {"intervalWhenDown": 2},
        "corsOrigins": ["https://app.example.com"],
    }
    written = gateway(run_program({**STACK, "gateway": settings}))
    read = GatewaySettings.model_validate(written)
    assert (read.limits.queue_seconds, read.limits.attempts) == (60, 2)
    assert read.keep_alive.interval == 30
    assert read.breaker.cool_down_seconds == 5
    assert read.health.interval_when_down == 2
    assert read.cors_origins == ("https://app.example.com",)


def test_an_invalid_setting_is_refused_at_preview(run_program: StackRunner) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_program({**STACK, "gateway": {"limits": {"attempts": 11}}})
    assert str(refusal.value) == (
        "Pulumi.test.yaml: llm-stack:gateway.limits.attempts: is too large; found 11; allowed: at "
        "most 10; run: pulumi config set --path 'llm-stack:gateway.limits.attempts' <value>"
    )
