"""Checks of public addresses: one for each hostname of the stack's tunnels."""

from __future__ import annotations

from typing import Any

import pytest

from app.monitor.settings import Kind, PublicAddress, Service, Settings
from tests.doubles.recording_engine import Graph, StackRunner
from tests.unit.components.stacks_before import TOKEN, TUNNEL

STACK: dict[str, Any] = {"services": ["chat-interface", "phi-inference"]}
SECRETS = {"cloudflare:apiToken": TOKEN}


def checks(graph: Graph) -> dict[str, Service]:
    read = Settings.model_validate(graph.settings("monitor"))
    return {one.name: one for one in read.services if one.kind is Kind.PUBLIC}


def config(tunnel: dict[str, Any], **monitor: object) -> dict[str, Any]:
    return {**STACK, "tunnel": tunnel, "monitor": {"socketGroup": 999, **monitor}}


def test_a_name_with_access_has_to_ask_for_a_sign_in(run_program: StackRunner) -> None:
    [(name, check)] = checks(run_program(config(TUNNEL), SECRETS)).items()
    assert name == "chat-interface-public"
    assert str(check.url) == "https://chat-test.example.com/health"
    assert check.public == PublicAddress(sign_in=True)
    assert check.depends_on == ("chat-interface", "chat-interface-tunnel-1")
    assert check.restart is False


def test_a_name_without_access_has_to_answer(run_program: StackRunner) -> None:
    tunnel = {**TUNNEL, "access": "public"}
    found = checks(run_program(config(tunnel, publicChecks={"certificateDays": 30}), SECRETS))
    assert found["chat-interface-public"].public == PublicAddress(certificate_days=30)


def test_the_address_of_a_quick_tunnel_is_read_from_its_connector(
    run_program: StackRunner,
) -> None:
    check = checks(run_program(config({"mode": "quick", "access": "public"})))[
        "chat-interface-public"
    ]
    assert str(check.url) == "http://chat-interface-tunnel-1:20241/"
    assert check.public == PublicAddress(quick=True, path="/health")
    assert check.depends_on == ("chat-interface", "chat-interface-tunnel-1")


@pytest.mark.parametrize("tunnel", [{"mode": "off"}, {"mode": "quick", "access": "public"}])
def test_checks_can_be_turned_off(run_program: StackRunner, tunnel: dict[str, Any]) -> None:
    assert checks(run_program(config(tunnel, publicChecks={"enabled": False}))) == {}
