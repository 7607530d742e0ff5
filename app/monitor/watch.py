"""The watch: checks every service at its pace, and carries out what is decided."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import TypeAdapter

from app.monitor.clock_steps import not_in_the_future, shifted
from app.monitor.decisions.after_check import apply_verdict
from app.monitor.decisions.after_restart import apply_restart_result
from app.monitor.decisions.pace import Pace, next_check_at
from app.monitor.decisions.pauses import pause, resume
from app.monitor.decisions.records import (
    CheckContext,
    Event,
    EventType,
    PendingRestart,
    Policy,
    RestartOutcome,
    RestartResult,
    ServiceRecord,
    Step,
    is_serving,
    last_healthy_at,
    new_record,
)
from app.monitor.decisions.states import FAILED, State, Verdict
from app.monitor.event_log import log_check, log_event
from app.monitor.maintenance import MaintenanceSchedule
from app.monitor.settings import Service, Settings
from app.monitor.store.state_file import StateFile
from app.shared.json_log import Log

log = Log("monitor")

SAVE_EVERY = 30.0
"""Seconds between two saves of the records, if no decision has to be saved at once."""

FIRST_CHECKS_WITHIN = 10.0
"""Seconds after the start in which every service is checked once."""

PARALLEL_CHECKS = 64

PARALLEL_RESTARTS = 12
"""Fewer than the connections that the restarter serves at once: it closes others, and its own
health check and `works` need some."""


class Checker(Protocol):
    """Checks a service once."""

    async def check(self, service: Service, now: float) -> Verdict:
        """The verdict; raises nothing because of the service."""

    def reset(self, service: Service) -> None:
        """Drop what earlier checks found: another process runs now."""


class Restarter(Protocol):
    """Restarts the container of a service."""

    async def restart(self, service: Service, pending: PendingRestart) -> RestartResult:
        """Request the restart once, and wait for the result."""

    async def works(self) -> bool:
        """Whether it could restart something now."""


Listener = Callable[[Service, Event], None]


class CheckListener(Protocol):
    """Receives each check."""

    def __call__(self, service: Service, record: ServiceRecord, *, counted: bool) -> None:
        """Add a check; one in a pause does not count."""


@dataclass(slots=True)
class CheckCounts:
    """Counts of one service since the monitor started."""

    checks: int = 0
    failures: int = 0


class Watch:
    """Holds the record of every service, and changes it only by the rules in `decisions`.

    :param clock_step: returns the seconds by which the clock was set since its last call.
    :param step_listeners: called with each such step.
    :param random_number: returns one from 0 to 1.
    :param listeners: called with each event.
    :param check_listeners: called with the record after each check.
    """

    def __init__(
        self,
        settings: Settings,
        checker: Checker,
        restarter: Restarter | None = None,
        *,
        clock: Callable[[], float] = time.time,
        clock_step: Callable[[], float] = lambda: 0.0,
        step_listeners: Iterable[Callable[[float], None]] = (),
        random_number: Callable[[], float] = random.random,
        listeners: Iterable[Listener] = (),
        check_listeners: Iterable[CheckListener] = (),
    ) -> None:
        self.settings = settings
        self.services = {service.name: service for service in settings.services}
        self.last_check_at = clock()
        self.counts = {name: CheckCounts() for name in self.services}
        self.restarter_works: bool | None = None
        self.state_writable = True
        self._checker = checker
        self._restarter = restarter
        self._clock = clock
        self._clock_step = clock_step
        self._step_listeners = tuple(step_listeners)
        self._random_number = random_number
        self._listeners = tuple(listeners)
        self._check_listeners = tuple(check_listeners)
        self._pace = Pace(settings.interval, settings.thresholds.retry_interval)
        self._check_slots = asyncio.Semaphore(PARALLEL_CHECKS)
        self._restart_slots = asyncio.Semaphore(PARALLEL_RESTARTS)
        self._restart_tasks: set[asyncio.Task[None]] = set()
        self._check_now = {name: asyncio.Event() for name in self.services}
        self._group: asyncio.TaskGroup | None = None
        self._following: dict[str, asyncio.Task[None]] = {}
        self._unsaved = False
        self._state_file = StateFile(
            settings.internal.state_dir / "state.json", TypeAdapter(dict[str, ServiceRecord])
        )
        self._policies = {service.name: self._policy(service) for service in settings.services}
        self._maintenance = MaintenanceSchedule(settings.maintenance)
        self.records = self._load()

    def _policy(self, service: Service) -> Policy:
        return Policy(
            thresholds=self.settings.thresholds,
            restarts=self.settings.restarts,
            start_grace=service.start_grace,
            restart=self._restarter is not None and service.restart,
            hold_retry=self.settings.internal.hold_retry,
        )

    def _load(self) -> dict[str, ServiceRecord]:
        now = self._clock()
        stored = self._state_file.load() or {}
        records = {
            name: not_in_the_future(stored[name], now)
            if name in stored
            else new_record(service.start_grace, now)
            for name, service in self.services.items()
        }
        if self._restarter is None:
            return {name: replace(record, pending=None) for name, record in records.items()}
        return records

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._save_regularly())
                group.create_task(self._watch_restarter())
                self._group = group
                for index, service in enumerate(self.services.values()):
                    share = index / len(self.services)
                    first = min(self._pace.interval, FIRST_CHECKS_WITHIN) * share
                    # One that was requested before the monitor itself was restarted.
                    pending = self.records[service.name].pending is not None
                    self._start_following(service, first, share, restart=pending)
        finally:
            self._group = None
            for task in self._restart_tasks:
                task.cancel()
            await asyncio.gather(*self._restart_tasks, return_exceptions=True)
            await self.save()

    def update(self, services: Sequence[Service]) -> None:
        """Watch these services, and no others. One that stays keeps its record; a new one may just
        be starting, and is checked at once."""
        before, self.services = self.services, {service.name: service for service in services}
        added = [service for service in services if service.name not in before]
        removed = [service for name, service in before.items() if name not in self.services]
        changed = [service for service in services if before.get(service.name, service) != service]
        for service in (*removed, *changed):
            if task := self._following.pop(service.name, None):
                task.cancel()
            self._checker.reset(service)
        for service in removed:
            self._pace.forget(service.name)
            for known in (self.records, self.counts, self._check_now, self._policies):
                known.pop(service.name, None)
        for service in added:
            self.records[service.name] = new_record(service.start_grace, self._clock())
            self.counts[service.name] = CheckCounts()
            self._check_now[service.name] = asyncio.Event()
        for service in (*added, *changed):
            self._policies[service.name] = self._policy(service)
            place = [*self.services].index(service.name)
            self._start_following(service, 0.0, place / len(self.services))
        self._unsaved = True
        self.last_check_at = self._clock()
        log.info(
            "services changed",
            added=[service.name for service in added],
            removed=[service.name for service in removed],
            changed=[service.name for service in changed],
        )

    def _start_following(
        self, service: Service, first: float, share: float, *, restart: bool = False
    ) -> None:
        if self._group is not None:
            following = self._follow(service, first, share, restart)
            self._following[service.name] = self._group.create_task(following)

    async def _follow(self, service: Service, first: float, share: float, restart: bool) -> None:
        """Check one service until cancelled: first after so many seconds, then at its own offset
        in the interval, so that the checks of many services are spread over all of it.

        :param restart: whether a restart is pending when it begins.
        """
        loop = asyncio.get_running_loop()
        interval = self._pace.interval
        await asyncio.sleep(first)
        shift = interval * share - first
        while True:
            begun = loop.time()
            async with self._check_slots:
                await self.check(service)
            if restart:
                self._start_restart(service)
                restart = False
            pace = self._pace.seconds(service.name, self.records[service.name], self._clock())
            due = begun + pace
            if pace == interval:
                due, shift = due + shift, 0.0
            check_now = self._check_now[service.name]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_check_at(due, pace, loop.time())):
                    await check_now.wait()
            check_now.clear()

    async def check(self, service: Service) -> None:
        """Check a service once, and carry out what is decided."""
        name = service.name
        self._follow_clock()
        begun = self._clock()
        try:
            verdict = await self._checker.check(service, begun)
        except Exception as error:
            # An error in one check must not end the watch over all other services.
            reason = f"the check itself failed: {type(error).__name__}: {error}"
            verdict = Verdict(State.UNKNOWN, "check_failed", reason)
        begun += self._follow_clock()
        counts = self.counts[name]
        counts.checks += 1
        counts.failures += verdict.state in FAILED
        self.last_check_at = self._clock()
        step = apply_verdict(
            self.records[name], name, verdict, self._policies[name], self._context(service, begun)
        )
        self._apply(service, step)
        counted = not self.is_paused(service)
        for listener in self._check_listeners:
            listener(service, step.record, counted=counted)
        log_check(service, step.record, verdict, counts.checks, self._clock())
        if verdict.excusable:
            self._check_dependencies_now(service)
        if any(event.type is EventType.RESTART_REQUESTED for event in step.events):
            self._start_restart(service)

    def _follow_clock(self) -> float:
        """If the clock was set, move all times of the records with it; return by how much."""
        if step := self._clock_step():
            self.records = {name: shifted(record, step) for name, record in self.records.items()}
            self.last_check_at += step
            for service in self.services.values():
                # Without the times since when its work stands still.
                self._checker.reset(service)
            for listener in self._step_listeners:
                listener(step)
            log.warning("the clock was set", seconds=round(step, 1))
        return step

    def _context(self, service: Service, begun: float) -> CheckContext:
        others = {other: self.records[other] for other in service.depends_on}
        failed = tuple(other for other, record in others.items() if not is_serving(record))
        healthy_at = min((last_healthy_at(record) for record in others.values()), default=math.inf)
        return CheckContext(self._clock(), self.is_paused(service), failed, healthy_at, begun)

    def _check_dependencies_now(self, service: Service) -> None:
        """Check at once the dependencies that may explain why a service cannot serve."""
        since = self.records[service.name].failing_since
        for other in service.depends_on:
            if since is not None and last_healthy_at(self.records[other]) < since:
                self._check_now[other].set()

    def is_paused(self, service: Service) -> bool:
        """Whether restarts and alerts are off for a service at present."""
        paused = self._clock() < self.records[service.name].paused_until
        return paused or self.maintenance_until(service) is not None

    def maintenance_until(self, service: Service) -> float | None:
        """When the present maintenance of a service ends; None if there is none."""
        return self._maintenance.until(service.name, self._clock())

    def _apply(self, service: Service, step: Step) -> None:
        self.records[service.name] = step.record
        self._unsaved = True
        for event in step.events:
            log_event(event)
            for listener in self._listeners:
                listener(service, event)

    def _start_restart(self, service: Service) -> None:
        task = asyncio.create_task(self._restart(service))
        self._restart_tasks.add(task)
        task.add_done_callback(self._restart_tasks.discard)

    async def _restart(self, service: Service) -> None:
        """Save the decision first: a monitor that is killed in between requests the restart
        again, and the restarter sees by the container's start whether it was done. A service
        that has recovered or was paused in the meantime is not restarted."""
        await self.save()
        async with self._restart_slots:
            record = self.records.get(service.name)
            if record is None or record.pending is None or self._restarter is None:
                return
            if self._needs_restart(service):
                result = await self._restarter.restart(service, record.pending)
                if service.name not in self.records:
                    # It was removed from the list in the meantime.
                    return
                step = apply_restart_result(
                    self.records[service.name],
                    service.name,
                    result,
                    self._policies[service.name],
                    self._clock(),
                    self._random_number(),
                    paused=self.is_paused(service),
                )
                if result.outcome in (RestartOutcome.RESTARTED, RestartOutcome.FRESH):
                    self._checker.reset(service)
                self._apply(service, step)
            else:
                self.records[service.name] = replace(record, pending=None)
        await self.save()

    def _needs_restart(self, service: Service) -> bool:
        """Whether a restart that was decided is still needed."""
        record = self.records[service.name]
        failed = record.state in FAILED and record.failures > 0
        return failed and self._policies[service.name].restart and not self.is_paused(service)

    def pause(self, names: Iterable[str], seconds: float) -> None:
        """Stop restarts and alerts of these services for some seconds from now."""
        now = self._clock()
        for name in names:
            self._apply(self.services[name], pause(self.records[name], name, now + seconds, now))

    def resume(self, names: Iterable[str]) -> None:
        """End their pause, and allow restarts again after the monitor gave up."""
        for name in names:
            self._apply(self.services[name], resume(self.records[name], name, self._clock()))

    async def save(self) -> None:
        """Save the records, in a thread as the disk may be slow."""
        self._unsaved = False
        snapshot = dict(self.records)
        try:
            await asyncio.to_thread(self._state_file.save, snapshot)
            self.state_writable = True
        except OSError as error:
            if self.state_writable:
                log.error("state not saved", reason=str(error))
            self.state_writable = False

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY)
            if self._unsaved:
                await self.save()

    async def _watch_restarter(self) -> None:
        """Find out before a restart is needed whether one could be done; log changes."""
        while self._restarter is not None:
            works = await self._restarter.works()
            if works is not self.restarter_works:
                write = log.info if works else log.warning
                write("restarter works" if works else "restarter does not work")
            self.restarter_works = works
            await asyncio.sleep(self._pace.interval)
