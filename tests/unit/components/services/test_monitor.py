"""The monitor's settings: monitor.json has the settings of the stack."""

from __future__ import annotations

from typing import Any

from app.monitor.settings import Settings
from tests.doubles.recording_engine import Graph, StackRunner
from tests.unit.components.stacks_before import TOKEN, TUNNEL

STACK = {"services": ["chat-interface", "phi-inference"]}
SET = {
    "socketGroup": 999,
    "interval": 20,
    "thresholds": {"failAfter": 5, "stallAfter": 300},
    "restartPolicy": {"backoff": 60, "limit": 3},
    "alerts": {"groupWait": 10, "pageUrl": "https://status.example.com/page"},
    "hosts": ["status.example.net"],
}


def monitor(graph: Graph) -> dict[str, Any]:
    return graph.settings("monitor")


def test_only_configured_settings_are_written(run_program: StackRunner) -> None:
    written = monitor(run_program({**STACK, "monitor": {"socketGroup": 999}}))
    assert written.keys() == {"stack", "interval", "restarts", "services"}
    assert written["restarts"].keys() == {"enabled", "url"}


def test_every_section_can_be_set(run_program: StackRunner) -> None:
    secret = {"alertWebhook-team": "https://hooks.example.com/team"}
    read = Settings.model_validate(monitor(run_program({**STACK, "monitor": SET}, secret)))
    assert read.interval == 20
    assert (read.thresholds.fail_after, read.thresholds.stall_after) == (5, 300)
    assert (read.restarts.backoff, read.restarts.limit) == (60, 3)
    assert read.alerts.group_wait == 10
    assert read.hosts == ("status.example.net", "status.example.com")


def test_models_and_the_address_of_the_chat_are_written(run_program: StackRunner) -> None:
    graph = run_program(
        {
            **STACK,
            "monitor": {"socketGroup": 999},
            "placeholderModel": "smollm2-135m",
            "hostPorts": {"chat-interface": 8080},
        }
    )
    read = Settings.model_validate(monitor(graph))
    assert read.chat is not None
    assert (read.chat.url, read.chat.port) == (None, 8080)
    models = {service.name: service.models for service in read.services}
    [phi] = models["phi-inference"]
    assert (phi.name, phi.placeholder) == ("phi-3-mini", "smollm2-135m")
    assert models["chat-interface"] == ()


def test_the_public_address_of_the_chat_is_that_of_its_tunnel(run_program: StackRunner) -> None:
    tunnelled = {**STACK, "monitor": {"socketGroup": 999}, "tunnel": TUNNEL}
    graph = run_program(tunnelled, {"cloudflare:apiToken": TOKEN})
    read = Settings.model_validate(monitor(graph))
    assert read.chat is not None
    assert str(read.chat.url) == "https://chat-test.example.com/"
