"""The monitor's settings: monitor.json has the settings of the stack."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

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


def test_maintenance_windows_include_the_connectors_and_the_public_address(
    run_program: StackRunner,
) -> None:
    weekly = {
        "services": ["phi-inference", "chat-interface"],
        "days": ["sunday"],
        "start": "03:00",
        "duration": "90m",
        "timeZone": "Europe/Berlin",
    }
    once = {"date": "2027-01-31 00:00:00 +0000 UTC", "start": "13:00", "duration": "2h"}
    graph = run_program(
        {
            **STACK,
            "monitor": {"socketGroup": 999, "maintenance": [weekly, once]},
            "tunnel": TUNNEL,
        },
        {"cloudflare:apiToken": TOKEN},
    )
    regular, single = Settings.model_validate(monitor(graph)).maintenance
    assert regular.services == (
        "phi-inference",
        "chat-interface",
        "chat-interface-tunnel-1",
        "chat-interface-public",
    )
    assert (regular.days, regular.duration) == (("sunday",), 5400)
    assert (regular.start.isoformat("minutes"), regular.time_zone) == ("03:00", "Europe/Berlin")
    assert (str(single.date), single.services, single.duration) == ("2027-01-31", (), 7200)


def test_all_problems_of_maintenance_windows_are_reported_at_once(
    run_program: StackRunner,
) -> None:
    windows = [
        {"start": "3:00", "duration": "1h"},
        {"start": "03:00", "duration": "100h", "timeZone": "Berlin"},
        {"start": "03:00", "duration": "1h", "days": ["sunday"], "date": "2027-01-31"},
        {"start": "03:00", "duration": "1h", "services": ["phi-inferense"]},
    ]
    with pytest.raises(pulumi.RunError) as refused:
        run_program({**STACK, "monitor": {"socketGroup": 999, "maintenance": windows}})
    text = str(refused.value)
    assert "monitor.maintenance.0.start: is not a valid time of day; found '3:00'" in text
    assert "monitor.maintenance.1.duration: is not a valid duration; found '100h'" in text
    assert "monitor.maintenance.1.timeZone: is not a time zone; found 'Berlin'" in text
    assert "monitor.maintenance.2: has both days and date" in text
    assert "monitor.maintenance: has a window of a service that is not in this stack" in text
    assert "found 'phi-inferense'; did you mean 'phi-inference'?" in text
