"""Waits until a Swarm runs a service's new version, or until it is clear that it will not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import docker
import pulumi
from docker.models.services import Service

from components.engine.client import docker_client, run_blocking
from components.runtime.docker.health import LAST_LINES, POLL_SECONDS, PROGRESS_SECONDS, NotHealthy

# A log is fetched from the nodes, of which one may be dead.
LOG_SECONDS = 10
# Capacity may free up while old tasks stop; give up after this many seconds.
NO_NODE_SECONDS = 45
# A node that has just joined may reject a task once, until it has the network.
REFUSALS_TOLERATED = 2

# States of a task (github.com/moby/swarmkit, `api/types.proto`).
RUNNING, COMPLETE = "running", "complete"

Task = dict[str, Any]


async def wait_until_converged(
    service_id: str,
    replicas: int,
    time_limit: int,
    docker_host: str | None,
    reporter: pulumi.Resource | None,
    wanted: str = RUNNING,
) -> None:
    """Return once all tasks run the version; raises `NotHealthy` as soon as they will not.

    A version that fails does not stay: Swarm takes an update back, or it is taken back here. A
    service that never had another version is stopped, and started again by the next update.

    :param wanted: the state of a task that has done what it should: `COMPLETE` for a job.
    """
    client = await run_blocking(docker_client, docker_host)
    try:
        service = await run_blocking(client.services.get, service_id)
        watch = await run_blocking(_begin, service, replicas, wanted)
        try:
            async with asyncio.timeout(time_limit):
                failure = await _failure_while_waiting(watch, reporter)
        except TimeoutError:
            failure = Failure(f"not running after {time_limit} s", watch.newest)
        if failure:
            last_log = await _last_lines(service, failure.task)
            await run_blocking(_back_out, watch)
            raise NotHealthy(f"{service.name}: {failure.reason}\n{last_log}")
    finally:
        client.close()


@dataclass(frozen=True)
class Failure:
    """Why a version will not run, and the task that shows it."""

    reason: str
    task: Task | None = None


@dataclass
class Watch:
    """A service that is waited for."""

    service: Service
    replicas: int
    known: frozenset[str]
    """Tasks that had failed before this update, and so do not count."""
    never_ran: bool
    """Whether it has no version that ever worked."""
    wanted: str = RUNNING
    status: dict[str, Any] = field(default_factory=dict)
    tasks: Sequence[Task] = ()
    """Those of the present version, newest first."""

    def look(self) -> None:
        self.service.reload()
        self.status = self.service.attrs.get("UpdateStatus") or {}
        found = tasks_of(self.service, up_to_date=True)
        self.tasks = sorted(
            (task for task in found if task["ID"] not in self.known),
            key=lambda task: str(task["CreatedAt"]),
            reverse=True,
        )

    @property
    def newest(self) -> Task | None:
        return self.tasks[0] if self.tasks else None


def _begin(service: Service, replicas: int, wanted: str) -> Watch:
    """Know what failed before; a service that an earlier update stopped is started again."""
    known: frozenset[str] = frozenset()
    stopped, never_ran = _replicas(service.attrs["Spec"]) == 0, has_never_run(service.attrs)
    updated = "PreviousSpec" in service.attrs
    if stopped or updated:
        known = frozenset(
            task["ID"] for task in tasks_of(service) if task["Status"]["State"] in FAILED
        )
    if stopped:
        service.scale(replicas)
    return Watch(service, replicas, known, never_ran, wanted)


def has_never_run(attrs: Mapping[str, Any]) -> bool:
    """Whether a service has no version to go back to: it is new, or an update that failed has
    stopped it, be it that this one tries the same again or something else."""
    before = attrs.get("PreviousSpec")
    return before is None or 0 in (_replicas(attrs["Spec"]), _replicas(before))


async def _failure_while_waiting(watch: Watch, reporter: pulumi.Resource | None) -> Failure | None:
    """Wait, and log the progress now and then; None once all tasks run."""
    started = time.monotonic()
    reported = ""
    while True:
        await run_blocking(watch.look)
        waited = time.monotonic() - started
        if has_converged(watch.status, watch.tasks, watch.replicas, watch.wanted):
            return None
        if failure := failure_of(watch.status, watch.tasks, waited):
            if failure.task is None:
                everything = await run_blocking(tasks_of, watch.service)
                task = newest_failure(everything)
                return Failure(f"{failure.reason}: {reason_of(task)}", task) if task else failure
            return failure
        state = progress(watch.tasks, watch.replicas, watch.wanted)
        if state != reported and waited > PROGRESS_SECONDS:
            pulumi.log.info(f"waiting for the Swarm, {waited:.0f} s: {state}", reporter)
            reported = state
        await asyncio.sleep(POLL_SECONDS)


FAILED = frozenset({"failed", "rejected", "orphaned"})


def has_converged(
    status: dict[str, Any], tasks: Sequence[Task], replicas: int, wanted: str = RUNNING
) -> bool:
    """Whether the Swarm has finished, and runs as many tasks of the present version as it should.

    A task whose image has a health check runs only once that has passed.
    """
    if status.get("State", "completed") != "completed":
        return False
    return sum(_has_reached(task, wanted) for task in tasks) == replicas


def failure_of(status: dict[str, Any], tasks: Sequence[Task], waited: float) -> Failure | None:
    """Why waiting is in vain, or None while it may help."""
    state = status.get("State", "")
    if state.startswith("rollback"):
        return Failure("its new version failed, and the Swarm went back to the one before")
    if state == "paused":
        return Failure(f"the Swarm has paused its update: {status.get('Message', '')}")
    for task in tasks:
        if task["Status"]["State"] == "failed" and state != "updating":
            return Failure(reason_of(task), task)
    refused = [task for task in tasks if task["Status"]["State"] == "rejected"]
    if len(refused) > REFUSALS_TOLERATED:
        return Failure(reason_of(refused[0]), refused[0])
    for task in tasks:
        if task["Status"]["State"] == "pending" and waited > NO_NODE_SECONDS:
            return Failure(reason_of(task), task)
    return None


def newest_failure(tasks: Sequence[Task]) -> Task | None:
    """The task that failed last, of any version: after it the Swarm went back."""
    failed = [task for task in tasks if task["Status"]["State"] in FAILED]
    return max(failed, key=lambda task: str(task["Status"]["Timestamp"]), default=None)


def reason_of(task: Task) -> str:
    """The Swarm's error or message of a task, with its exit code if its program exited."""
    status = task["Status"]
    last_log = status.get("Err") or status.get("Message", "")
    return f"its task is {status['State']}: {last_log}"


def progress(tasks: Sequence[Task], replicas: int, wanted: str = RUNNING) -> str:
    """How far it is, in a line."""
    running = sum(_has_reached(task, wanted) for task in tasks)
    waiting = [task["Status"] for task in tasks if not _has_reached(task, wanted)]
    newest = f"; the newest is {waiting[0]['State']}" if waiting else ""
    verb = "run" if wanted == RUNNING else "have completed"
    return f"{running} of {replicas} tasks {verb}{newest}"


def _has_reached(task: Task, wanted: str) -> bool:
    if wanted == COMPLETE:
        return bool(task["Status"]["State"] == COMPLETE)
    return bool(task["Status"]["State"] == RUNNING == task["DesiredState"])


def tasks_of(service: Service, *, up_to_date: bool = False) -> list[Task]:
    """A service's tasks, of all its versions or of the present one.

    A task that is not to change does not show the version that it runs.
    """
    filters = {"_up-to-date": True} if up_to_date else {}
    found: list[Task] = service.tasks(filters=filters)  # type: ignore[no-untyped-call]
    return found


async def _last_lines(service: Service, task: Task | None) -> str:
    """The end of a task's log; of a node that does not answer, nothing."""
    if task is not None:
        with contextlib.suppress(TimeoutError, docker.errors.APIError):
            async with asyncio.timeout(LOG_SECONDS):
                return await run_blocking(_log_of, service, task["ID"])
    return ""


def _log_of(service: Service, task_id: str) -> str:
    """A service's log is that of all its tasks; the details before each line name the task."""
    log = b"".join(service.logs(details=True, stdout=True, stderr=True, tail=str(LAST_LINES)))
    lines = log.decode("utf-8", "replace").splitlines()
    mine = [line for line in lines if f"task.id={task_id}" in line.partition(" ")[0]]
    return "\n".join([line.partition(" ")[2] for line in mine][-LAST_LINES:])


def _back_out(watch: Watch) -> None:
    """Leave the version before running, or nothing where there is none."""
    service = watch.service
    service.reload()
    status = service.attrs.get("UpdateStatus") or {}
    if str(status.get("State", "")).startswith("rollback"):
        return
    if watch.never_ran:
        service.scale(0)
    elif status.get("State") in {"updating", "paused"}:
        _roll_back(service)


def _roll_back(service: Service) -> None:
    """What `docker service rollback` does, for which Docker's library has no function.

    The Swarm remembers that it went back, so that the next update does not take this for success.
    """
    assert service.client is not None, "it came from a client"
    api = service.client.api
    answer = api.post(
        f"{api.base_url}/v{api.api_version}/services/{service.id}/update",
        params={"version": service.version, "rollback": "previous"},
        json=service.attrs["Spec"],
    )
    answer.raise_for_status()


def _replicas(spec: dict[str, Any]) -> int:
    return int(spec["Mode"]["Replicated"].get("Replicas", 1))
