"""Which container is restarted, and when a restart is better left alone."""

import pytest

from app.restarter.containers import Check, Container, Failure, choose, decide

NOW = 1030.0
ANSWERED = Failure(since=1000.0, known_start=990.0)
SILENT = Failure(since=1000.0, known_start=990.0, second_opinion=True)


def box(**changes: object) -> Container:
    facts: dict[str, object] = {"id": "a", "name": "phi-1", "status": "running", "started_at": 5.0}
    return Container(**(facts | changes))  # type: ignore[arg-type]


def checked(*checks: tuple[float, bool], health: str = "healthy") -> Container:
    return box(
        health=health, check_within=40.0, checks=tuple(Check(at, passed) for at, passed in checks)
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
    ],
)
def test_what_is_done_with_one_container(container: Container, outcome: str) -> None:
    assert decide([container], ANSWERED, NOW).outcome == outcome


@pytest.mark.parametrize(
    ("container", "outcome"),
    [
        (checked((990, True), (1010, True)), "healthy_inside"),
        (checked((990, True), (1010, False)), "restart"),
        (checked((1005, False), (1015, True)), "healthy_inside"),
        (checked((1005, True), (1015, False)), "restart"),
        (checked((990, True)), "wait"),
        (checked((990, False), health="unhealthy"), "restart"),
        (checked(health="starting"), "wait"),
        (box(), "restart"),
        (box(status="exited"), "restart"),
    ],
)
def test_where_nothing_came_back_the_containers_own_check_is_heard(
    container: Container, outcome: str
) -> None:
    assert decide([container], SILENT, NOW).outcome == outcome


def test_waiting_for_a_second_opinion_ends() -> None:
    silent = checked((990, True))
    assert decide([silent], SILENT, 1031).wait == 14
    assert decide([silent], SILENT, 1001).wait == 15
    assert decide([silent], SILENT, 1046).outcome == "restart"


def test_the_second_opinion_is_not_asked_for_where_the_service_itself_answered() -> None:
    assert decide([checked((1010, True))], ANSWERED, NOW).outcome == "restart"


def test_of_several_replicas_the_sick_one_is_taken_then_the_oldest() -> None:
    old, new = box(name="old", started_at=10.0), box(name="new", started_at=20.0)
    sick = box(name="sick", started_at=30.0, health="unhealthy")
    gone = box(name="gone", started_at=40.0, status="exited")
    stopped = box(name="stopped", status="exited", restart_policy="always", started_at=1.0)
    assert choose([new, old]).name == "old"
    assert choose([new, old, sick]).name == "sick"
    assert choose([new, old, gone]).name == "gone"
    assert choose([new, stopped]).name == "new"


def test_no_container_is_an_outcome() -> None:
    assert decide([], ANSWERED, NOW).outcome == "not_found"


def test_a_description_says_how_it_ended() -> None:
    text = box(status="exited", exit_code=137, oom_killed=True, restart_count=2).describe()
    assert text == "phi-1: exited, exit code 137, out of memory, restarted 2 times by Docker"
