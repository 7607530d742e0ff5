"""The update gate on a Swarm: when it opens, and when it fails the update at once."""

from __future__ import annotations

from typing import Any

import pytest

from components.runtime.swarm.convergence import (
    NO_NODE_SECONDS,
    Failure,
    failure_of,
    has_converged,
    has_never_run,
    newest_failure,
)

UPDATING = {"State": "updating"}
COMPLETED = {"State": "completed"}


def task(state: str, *, desired: str = "running", name: str = "t", error: str = "") -> Any:
    """The Swarm's attributes of a task."""
    return {
        "ID": name,
        "DesiredState": desired,
        "Status": {"State": state, "Err": error, "Timestamp": f"2026-01-01T00:00:0{len(name)}Z"},
    }


RUNNING = task("running")


def test_the_gate_opens_when_all_tasks_run_and_the_update_is_completed() -> None:
    assert has_converged({}, [RUNNING, RUNNING], 2), "a service that is new has no update"
    assert has_converged(COMPLETED, [RUNNING, RUNNING], 2)
    assert not has_converged(UPDATING, [RUNNING, RUNNING], 2), "they are still watched"
    assert not has_converged({}, [RUNNING, task("starting")], 2)
    assert not has_converged({}, [RUNNING, task("running", desired="shutdown")], 2)
    assert not has_converged({"State": "rollback_completed"}, [RUNNING, RUNNING], 2)


@pytest.mark.parametrize(
    ("status", "tasks", "waited"),
    [
        ({}, [task("preparing")], 100),
        ({}, [task("starting")], 100),
        ({}, [task("rejected", error="no such network")], 1),
        (UPDATING, [task("failed")], 1),
        (UPDATING, [task("pending")], NO_NODE_SECONDS - 1),
    ],
)
def test_the_gate_waits_while_the_update_can_succeed(
    status: dict[str, str], tasks: list[Any], waited: float
) -> None:
    assert failure_of(status, tasks, waited) is None


@pytest.mark.parametrize(
    ("status", "tasks", "reason"),
    [
        (
            {},
            [task("failed", error="task: non-zero exit (3)")],
            "its task is failed: task: non-zero exit (3)",
        ),
        ({}, [task("rejected", error="no disk")] * 3, "its task is rejected: no disk"),
        (
            UPDATING,
            [task("pending", error="no suitable node (insufficient resources on 3 nodes)")],
            "its task is pending: no suitable node (insufficient resources on 3 nodes)",
        ),
        (
            {"State": "paused", "Message": "update paused due to failure"},
            [],
            "the Swarm has paused its update: update paused due to failure",
        ),
    ],
)
def test_a_version_that_cannot_run_fails_at_once(
    status: dict[str, str], tasks: list[Any], reason: str
) -> None:
    found = failure_of(status, tasks, NO_NODE_SECONDS + 1)
    assert found == Failure(reason, tasks[0] if tasks else None)


@pytest.mark.parametrize("state", ["rollback_started", "rollback_paused", "rollback_completed"])
def test_a_rolled_back_version_fails_the_update(state: str) -> None:
    found = failure_of({"State": state}, [RUNNING, RUNNING], 1)
    assert found is not None
    assert found.reason.startswith("its new version failed")


def test_the_reason_is_the_newest_failure() -> None:
    tasks = [task("failed", name="a"), task("failed", name="abc"), task("running", name="abcd")]
    assert newest_failure(tasks) == tasks[1]
    assert newest_failure(tasks[2:]) is None


@pytest.mark.parametrize(
    ("before", "now", "never"),
    [(None, 2, True), (2, 0, True), (0, 2, True), (2, 2, False), (1, 2, False)],
)
def test_a_service_that_never_ran_has_no_version_to_roll_back_to(
    before: int | None, now: int, never: bool
) -> None:
    def spec(replicas: int) -> dict[str, Any]:
        return {"Mode": {"Replicated": {"Replicas": replicas}}}

    attrs = {"Spec": spec(now)} | ({} if before is None else {"PreviousSpec": spec(before)})
    assert has_never_run(attrs) is never
