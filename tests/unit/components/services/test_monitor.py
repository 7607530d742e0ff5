"""The monitor's settings: monitor.json has the settings of the stack."""

from __future__ import annotations

from typing import Any

from app.monitor.settings import Settings
from tests.doubles.recording_engine import Graph, StackRunner

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
