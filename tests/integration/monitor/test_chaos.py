"""Faults of real containers: what the monitor detects, restarts, and leaves alone.

All services of the first part share one stack, one monitor and one restarter, as in production;
each test uses its own service. Intervals are some twenty times shorter than the defaults.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.integration.monitor.conftest import MakeRig
from tests.integration.monitor.rig import Rig, ServiceSpec, at, lines, run_in, wait_for

Row = Callable[..., None]

# A busy machine may need more than the rig's five seconds to start a container again: one that is not
# there by then is restarted a second time.
SLOW_MACHINE = {"start_grace": 20}
SPECS = {
    "killed": ServiceSpec(config=SLOW_MACHINE),
    "hung": ServiceSpec(checked_by_docker=True, config=SLOW_MACHINE),
    "mute": ServiceSpec(config=SLOW_MACHINE),
    "stuck": ServiceSpec(config=SLOW_MACHINE),
    "slow": ServiceSpec(
        environment={"START_DELAY": "12", "LOADING": "6"},
        config={"start_grace": 60},
        after_monitor=True,
    ),
    "greedy": ServiceSpec(),
    "broken": ServiceSpec(environment={"BROKEN": "1"}, config={"start_grace": 1}),
    "looping": ServiceSpec(
        environment={"BROKEN": "1"}, policy="unless-stopped", config={"start_grace": 1}
    ),
    "cut": ServiceSpec(checked_by_docker=True),
    "loaded": ServiceSpec(),
    "stopped": ServiceSpec(policy="unless-stopped"),
    "parent": ServiceSpec(kind="http"),
    "chat": ServiceSpec(kind="chat", config={"depends_on": ["parent"]}),
    "server": ServiceSpec(kind="chat"),
    "tunnel": ServiceSpec(kind="connector", config={"depends_on": ["server"]}),
}


@pytest.fixture(scope="module")
def rig(make_rig: MakeRig) -> Rig:
    rig = make_rig().start(SPECS, sink=True)
    for name, spec in SPECS.items():
        if not spec.environment:
            rig.becomes(name, "ok")
    return rig


def wait_for_recovery(rig: Rig, row: Row, name: str, fault: str, began: float) -> dict[str, Any]:
    """Wait until a service has failed, was restarted once, and has recovered; returns the restart."""
    failed = rig.wait_for_line(name, "service failed", began)
    restarted = rig.wait_for_line(name, "service restarted", began)
    recovered = rig.wait_for_line(name, "service recovered", began)
    assert rig.restarts(name, began) == 1
    assert rig.state(name)["restarts"]["last_reason"] in restarted["reason"]
    row(fault, began=began, detected=at(failed), recovered=at(recovered), restarts=1)
    return restarted


def test_a_killed_process_is_started_again(rig: Rig, row: Row) -> None:
    restarted = wait_for_recovery(
        rig, row, "killed", "kill -9, no restart policy", rig.kill_process("killed")
    )
    assert "exit code 137" in restarted["reason"]


def test_a_container_that_docker_restarts_is_not_restarted_again(
    make_rig: MakeRig, row: Row
) -> None:
    # Docker on a busy machine may need seconds to start it again.
    spec = ServiceSpec(policy="unless-stopped")
    rig = make_rig().start({"kept": spec}, thresholds={"fail_after": 10})
    rig.becomes("kept", "ok")
    before = rig.started_at("kept")
    began = rig.kill_process("kept")
    wait_for(lambda: rig.started_at("kept") != before or None, lambda: "Docker did not restart it")
    rig.becomes("kept", "ok")
    assert rig.restarts("kept", began) == 0
    row(
        "kill -9, unless-stopped (Docker restarts it)",
        began=began,
        detected=None,
        recovered=None,
        restarts=0,
    )


def test_a_hung_process_is_restarted_after_a_second_opinion(rig: Rig, row: Row) -> None:
    began = time.time()
    rig.containers["hung"].kill(signal="SIGSTOP")
    restarted = wait_for_recovery(rig, row, "hung", "SIGSTOP (hang)", began)
    assert restarted["code"] == "timeout"


def test_health_200_without_tokens_is_found_and_restarted(rig: Rig, row: Row) -> None:
    began = rig.behave("mute", "mute")
    restarted = wait_for_recovery(rig, row, "mute", "/health 200, idle, generates no token", began)
    assert restarted["code"] == "no_token"


def test_a_busy_slot_that_does_not_advance_is_found_and_restarted(rig: Rig, row: Row) -> None:
    began = rig.behave("stuck", "stuck")
    restarted = wait_for_recovery(rig, row, "stuck", "/health 200, slots busy, no token", began)
    assert restarted["code"] == "no_progress"


def test_a_slow_start_is_waited_for(rig: Rig, row: Row) -> None:
    rig.becomes("slow", "ok")
    changes = [line for line in rig.log_lines("slow") if line["message"] == "state changed"]
    assert [line["after"] for line in changes][:3] == ["starting", "loading", "ok"]
    assert (
        rig.restarts("slow"),
        [e for e in rig.log_lines("slow") if e["message"] == "service failed"],
    ) == (
        0,
        [],
    )
    began = at(changes[0])
    row(
        "slow start (12 s silent, 6 s loading)",
        began=began,
        detected=None,
        recovered=at(changes[2]),
        restarts=0,
    )


def test_a_container_out_of_memory_is_restarted_and_the_cause_reported(rig: Rig, row: Row) -> None:
    restarted = wait_for_recovery(
        rig, row, "greedy", "out of memory", rig.behave("greedy", "greedy")
    )
    assert "out of memory" in restarted["reason"]


def test_a_broken_image_is_given_up_after_the_limit(rig: Rig, row: Row) -> None:
    failed = rig.wait_for_line("broken", "service failed")
    gave_up = rig.wait_for_line("broken", "restarts given up")
    assert "3 restarts within 10 min did not help" in gave_up["reason"]
    assert rig.restarts("broken") == 3
    row(
        "broken image, no restart policy (gives up)",
        began=rig.monitoring_since(),
        detected=at(failed),
        recovered=None,
        restarts=3,
    )


def test_a_restart_loop_of_docker_is_given_up_without_a_restart(rig: Rig, row: Row) -> None:
    failed = rig.wait_for_line("looping", "service failed")
    gave_up = rig.wait_for_line("looping", "restarts given up")
    assert "Docker already restarts it over and over" in gave_up["reason"]
    assert rig.restarts("looping") == 0
    row(
        "broken image, unless-stopped (gives up)",
        began=rig.monitoring_since(),
        detected=at(failed),
        recovered=None,
        restarts=0,
    )


def test_a_cut_network_leads_to_an_alert_and_to_no_restart(rig: Rig, row: Row) -> None:
    before = rig.started_at("cut")
    began = rig.cut("cut")
    failed = rig.wait_for_line("cut", "service failed", began)
    held = rig.wait_for_line("cut", "restart withheld", at(failed))
    wait_for(
        lambda: "the network is the cause" in str(rig.state("cut")["held"]) or None,
        lambda: f"not held because of the network: {held}",
    )
    rig.reconnect("cut")
    recovered = rig.wait_for_line("cut", "service recovered", began)
    assert (rig.restarts("cut", began), rig.started_at("cut")) == (0, before)
    row(
        "network cut (reconnected by hand)",
        began=began,
        detected=at(failed),
        recovered=at(recovered),
        restarts=0,
    )


def test_full_load_is_never_a_reason_to_restart(rig: Rig, row: Row) -> None:
    """Five times the stall threshold, which by default would be ten minutes."""
    before = rig.started_at("loaded")
    began = rig.behave("loaded", "loaded")
    rig.becomes("loaded", "busy")
    until = began + 5 * 4
    while time.time() < until:
        assert rig.state("loaded")["state"] == "busy"
        time.sleep(0.5)
    rig.behave("loaded", "ok")
    rig.becomes("loaded", "ok")
    assert (rig.restarts("loaded", began), rig.started_at("loaded")) == (0, before)
    failed = [line for line in rig.log_lines("loaded") if line["message"] == "service failed"]
    assert [line for line in failed if at(line) >= began] == []
    row(
        "full load for 5 stall thresholds (20 s)",
        began=began,
        detected=None,
        recovered=None,
        restarts=0,
    )


def test_a_container_stopped_by_hand_stays_stopped(rig: Rig, row: Row) -> None:
    began = time.time()
    rig.containers["stopped"].stop(timeout=1)
    failed = rig.wait_for_line("stopped", "service failed", began)
    held = rig.wait_for_line("stopped", "restart withheld", began)
    assert "stopped by hand" in held["reason"]
    rig.containers["stopped"].reload()
    assert rig.containers["stopped"].status == "exited"
    rig.containers["stopped"].start()
    recovered = rig.wait_for_line("stopped", "service recovered", began)
    assert rig.restarts("stopped", began) == 0
    row(
        "docker stop by a person (left alone)",
        began=began,
        detected=at(failed),
        recovered=at(recovered),
        restarts=0,
    )


def test_a_chat_whose_model_is_down_waits_and_one_alert_is_sent(rig: Rig, row: Row) -> None:
    before = rig.started_at("chat")
    rig.behave("chat", "as_parent")
    began = rig.behave("parent", "fail")
    restarted = wait_for_recovery(rig, row, "parent", "model down, chat not ready", began)
    assert restarted["code"] == "http_500", "the model, not the chat, is restarted"
    rig.becomes("chat", "ok")
    alerts = wait_for(
        lambda: found if len(found := _alerts(rig, "parent", began)) > 1 else None,
        lambda: f"alerts: {rig.alerts()}",
    )
    assert alerts == ["failed", "recovered"]
    assert _alerts(rig, "chat", began) == []
    assert (rig.restarts("chat", began), rig.started_at("chat")) == (0, before)


def _alerts(rig: Rig, name: str, since: float) -> list[str]:
    return [
        alert["event"]
        for alert in rig.alerts()
        if alert["service"] == name
        and datetime.fromisoformat(alert["at"]).timestamp() >= int(since)
    ]


def test_a_dead_tunnel_is_restarted_without_its_server(rig: Rig, row: Row) -> None:
    before = rig.started_at("server")
    began = rig.kill_process("tunnel")
    wait_for_recovery(rig, row, "tunnel", "tunnel dead, server fine", began)
    assert (rig.restarts("server", began), rig.started_at("server")) == (0, before)
    failed = [line for line in rig.log_lines("server") if line["message"] == "service failed"]
    assert [line for line in failed if at(line) >= began] == []


def test_the_monitor_can_write_nothing_but_its_state_volume(rig: Rig) -> None:
    rig.monitor.reload()
    inspected = rig.monitor.attrs
    writable = [mount for mount in inspected["Mounts"] if mount["RW"]]
    assert [mount["Destination"] for mount in writable] == ["/var/lib/monitor"]
    assert not [mount for mount in inspected["Mounts"] if "docker.sock" in mount["Source"]]
    assert inspected["HostConfig"]["CapAdd"] is None
    assert inspected["HostConfig"]["CapDrop"] == ["ALL"]
    assert inspected["Config"]["User"] == "10001:10001"
    _, status = run_in(rig.monitor, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert run_in(rig.monitor, "sh", "-c", "touch /x")[0] != 0


def test_only_the_monitors_network_leads_to_the_restarter(rig: Rig) -> None:
    code = "import socket; socket.create_connection(('restarter', 8070), 1)"
    assert run_in(rig.monitor, "python3", "-c", code)[0] == 0
    assert run_in(rig.containers["killed"], "python3", "-c", code)[0] != 0


def test_page_metrics_and_api_show_the_faults(rig: Rig) -> None:
    page = rig.get("/").decode()
    assert "broken" in page
    assert "did not help" in page
    assert '"state": "down"' in rig.get("/api/v1/services/broken").decode()
    metrics = rig.get("/metrics").decode()
    assert 'monitor_gave_up{service="broken"} 1.0' in metrics
    assert 'monitor_restarts_total{service="broken"} 3.0' in metrics


def test_a_pause_by_hand_stops_restarts_and_survives_the_monitor(make_rig: MakeRig) -> None:
    rig = make_rig().start({"phi": ServiceSpec()})
    rig.becomes("phi", "ok")
    code, output = run_in(
        rig.monitor, "python3", "-m", "app.monitor", "pause", "phi", "--for", "1h"
    )
    assert (code, json.loads(output)) == (0, {"paused": ["phi"], "seconds": 3600})
    rig.monitor.kill()
    rig.monitor.start()
    began = rig.kill_process("phi")
    rig.becomes("phi", "down")
    assert rig.state("phi")["paused"]
    assert run_in(rig.monitor, "python3", "-m", "app.monitor", "resume", "phi")[0] == 0
    rig.becomes("phi", "ok")
    assert rig.restarts("phi", began) == 1


def test_a_monitor_killed_in_the_middle_of_a_restart_does_not_do_it_twice(
    make_rig: MakeRig, row: Row
) -> None:
    rig = make_rig().start({"phi": ServiceSpec()})
    rig.becomes("phi", "ok")
    began = rig.behave("phi", "stubborn")
    failed = rig.wait_for_line("phi", "service failed", began)
    rig.wait_for_line("phi", "restart requested", began)
    rig.monitor.kill()  # While Docker waits for the process to stop.
    rig.monitor.start()
    rig.becomes("phi", "ok")
    recovered = rig.wait_for_line("phi", "service recovered", began)
    assert rig.restarts("phi", began) == 1
    found = [
        e
        for e in rig.log_lines("phi")
        if e["message"] in ("service restarted", "service restarted by Docker or a person")
    ]
    assert len(found) == 1, "the new monitor requests it again, and it is reported as done"
    assert rig.state("phi")["restarts"]["last_at"] is not None
    row(
        "monitor killed in the middle of a decision",
        began=began,
        detected=at(failed),
        recovered=at(recovered),
        restarts=1,
    )


def test_without_docker_it_reports_that_and_restarts_when_docker_is_back(
    make_rig: MakeRig, row: Row
) -> None:
    rig = make_rig().start({"phi": ServiceSpec()}, socket=False)
    rig.becomes("phi", "ok")
    began = rig.kill_process("phi")
    failed = rig.wait_for_line("phi", "service failed", began)
    refused = rig.wait_for_line("phi", "restart failed", began)
    assert "cannot reach Docker" in refused["reason"]
    assert any(line["message"] == "restarter does not work" for line in lines(rig.monitor))
    rig.restarter.remove(force=True)
    rig.start_restarter()
    recovered = rig.wait_for_line("phi", "service recovered", began)
    assert rig.restarts("phi") == 1
    row(
        "Docker unreachable, later back",
        began=began,
        detected=at(failed),
        recovered=at(recovered),
        restarts=1,
    )
