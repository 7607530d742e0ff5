"""Which container is restarted, and when none is."""

import pytest

from app.restarter.containers import Check, Container, FailureReport, choose, decide

NOW = 1030.0
RESPONDED = FailureReport(since=1000.0, known_start=990.0)
SILENT = FailureReport(since=1000.0, known_start=990.0, second_opinion=True)


def box(**changes: object) -> Container:
    facts: dict[str, object] = {"id": "a", "name": "phi-1", "status": "running", "started_at": 5.0}
    return Container(**(facts | changes))  # type: ignore[arg-type]


def checked(*checks: tuple[float, bool], health: str = "healthy") -> Container:
    return box(
        health=health, check_seconds=40.0, checks=tuple(Check(at, passed) for at, passed in checks)
    )


@pytest.mark.parametrize(
    ("container", "outcome"),
    [
        (box(), "restart"),
        (box(status="exited", exit_code=137, oom_killed=True), "restart"),
        (box(status="exited", restart_policy="on-failure"), "restart"),
        (box(status="exited", restart_policy="unless-stopped"), "stopped_by_hand"),
        (box(status="created", restart_policy="always"), "stopped_by_hand"),
        (box(status="exited", restart_policy="always", error="no such file"), "restart"),
        (box(status="paused"), "stopped_by_hand"),
        (box(started_at=995.0), "fresh"),
        (box(started_at=1001.0, restart_count=1), "fresh"),
        (box(started_at=1001.0, restart_count=9), "fresh"),
        (box(started_at=989.0, restart_count=9), "restart"),
        (box(status="restarting", restart_count=3), "looping"),
        (box(status="restarting", restart_count=1), "restart"),
        (box(started_at=1025.0, restart_count=5), "looping"),
        (box(swarm=True), "swarm"),
        # Started before the clock was set back.
        (box(started_at=5000.0), "restart"),
        (box(started_at=5000.0, restart_count=5), "restart"),
    ],
)
def test_the_outcome_for_one_container(container: Container, outcome: str) -> None:
    assert decide([container], RESPONDED, NOW).outcome == outcome


@pytest.mark.parametrize(
    ("container", "outcome"),
    [
        (checked((990, True), (1010, True)), "healthy_inside"),
        (checked((990, True), (1010, False)), "restart"),
        (checked((1005, False), (1015, True)), "healthy_inside"),
        (checked((1005, True), (1015, False)), "restart"),
        (checked((990, True)), "wait"),
        (checked((990, False), health="unhealthy"), "restart"),
        (checked((980, True), (990, False)), "restart"),
        # Of before the clock was set back.
        (checked((990, True), (5000, True)), "wait"),
        (checked(health="starting"), "wait"),
        (box(), "restart"),
        (box(status="exited"), "restart"),
    ],
)
def test_without_any_response_the_containers_own_check_decides(
    container: Container, outcome: str
) -> None:
    assert decide([container], SILENT, NOW).outcome == outcome


def test_the_wait_for_a_health_check_is_limited() -> None:
    silent = checked((990, True))
    assert decide([silent], SILENT, 1031).wait == 14
    assert decide([silent], SILENT, 1001).wait == 15
    assert decide([silent], SILENT, 1046).outcome == "restart"


def test_the_containers_own_check_is_ignored_where_the_service_responded() -> None:
    assert decide([checked((1010, True))], RESPONDED, NOW).outcome == "restart"


def test_of_several_replicas_an_unhealthy_one_is_chosen_then_the_oldest() -> None:
    old, new = box(name="old", started_at=10.0), box(name="new", started_at=20.0)
    unhealthy = box(name="unhealthy", started_at=30.0, health="unhealthy")
    exited = box(name="exited", started_at=40.0, status="exited")
    stopped = box(name="stopped", status="exited", restart_policy="always", started_at=1.0)
    assert choose([new, old]).name == "old"
    assert choose([new, old, unhealthy]).name == "unhealthy"
    assert choose([new, old, exited]).name == "exited"
    assert choose([new, stopped]).name == "new"


def test_a_service_without_containers_is_not_found() -> None:
    assert decide([], RESPONDED, NOW).outcome == "not_found"


def test_a_description_has_exit_code_and_restarts() -> None:
    text = box(status="exited", exit_code=137, oom_killed=True, restart_count=2).describe()
    assert text == "phi-1: exited, exit code 137, out of memory, restarted 2 times by Docker"
