"""The watch itself: checks every service in its rhythm and carries out what is decided."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import TypeAdapter

from app.monitor.decisions.decisions import (
    Event,
    Happening,
    Memory,
    Outcome,
    Pending,
    Policy,
    RestartAnswer,
    Step,
    World,
    answered,
    can_serve,
    fine_at,
    observe,
    pause,
    remember,
    resume,
)
from app.monitor.decisions.states import FAILED, SERVING, State, Verdict
from app.monitor.settings import Service, Settings
from app.monitor.store.store import Store
from app.shared.json_log import Log

log = Log("monitor")

SAVE_EVERY = 30.0
"""Seconds between two saves of what is remembered, when nothing happened that cannot wait."""

EAGER_TIME = 300.0
"""Seconds that an undecided or starting service is checked at the shorter interval."""

EAGER_AT_ONCE = 20
"""Undecided services that are checked at the shorter interval; more share the same rate."""

PARALLEL_CHECKS = 64

DETAIL_EVERY = 10
"""Checks of a service between two detailed log lines."""

PARALLEL_RESTARTS = 12
"""Fewer than the connections that the restarter serves at once: it closes others unheard, and
its own health check and `works` need some."""

TICK = 0.5
"""Seconds, about. Checks that have the same pace begin at common ticks, so that those of many
services share an awakening: that halves the CPU time that 500 of them cost."""

TICKS = 10
"""A pace has at least so many ticks, however short it is."""

SHORTEST_PAUSE = 0.05
"""Seconds between two checks of a service whose checks take longer than its pace."""


class Checker(Protocol):
    """Checks a service once."""

    async def check(self, service: Service, now: float) -> Verdict:
        """The verdict; raises nothing for what the service does."""

    def forget(self, service: Service) -> None:
        """Judge no check by the ones before: another process runs now."""


class Restarter(Protocol):
    """Restarts the container of a service."""

    async def restart(self, service: Service, pending: Pending) -> RestartAnswer:
        """Ask for it once, and wait for the outcome."""

    async def works(self) -> bool:
        """Whether it could restart something now."""


Listener = Callable[[Service, Event], None]
CheckListener = Callable[[Service, Memory], None]


@dataclass(slots=True)
class Tally:
    """Counts of one service since the monitor started."""

    checks: int = 0
    failures: int = 0


class Watch:
    """Knows every service's memory, and changes it by the rules in `decisions` only."""

    def __init__(
        self,
        settings: Settings,
        checker: Checker,
        restarter: Restarter | None = None,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        listeners: Iterable[Listener] = (),
        check_listeners: Iterable[CheckListener] = (),
    ) -> None:
        self.settings = settings
        self.services = {service.name: service for service in settings.services}
        self.memories: dict[str, Memory] = {}
        self.last_check_at = clock()
        self._checker = checker
        self._restarter = restarter
        self._clock = clock
        self._chance = chance
        self._listeners = tuple(listeners)
        self._check_listeners = tuple(check_listeners)
        self.tallies = {name: Tally() for name in self.services}
        self.restarter_works: bool | None = None
        self._turn = asyncio.Semaphore(PARALLEL_CHECKS)
        self._restart_turn = asyncio.Semaphore(PARALLEL_RESTARTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._eager: set[str] = set()
        self._hurry = {name: asyncio.Event() for name in self.services}
        self._dirty = False
        self.state_writable = True
        self._store = Store(
            settings.internal.state_dir / "state.json", TypeAdapter(dict[str, Memory])
        )
        self._policies = {
            service.name: Policy(
                thresholds=settings.thresholds,
                restarts=settings.restarts,
                start_grace=service.start_grace,
                restart=restarter is not None,
                hold_retry=settings.internal.hold_retry,
            )
            for service in settings.services
        }
        self._recall()

    def _recall(self) -> None:
        now = self._clock()
        stored = self._store.load() or {}
        for name, service in self.services.items():
            memory = stored.get(name) or remember(service.start_grace, now)
            if self._restarter is None:
                memory = replace(memory, pending=None)
            self.memories[name] = memory

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._save_regularly())
                group.create_task(self._watch_restarter())
                for index, service in enumerate(self.services.values()):
                    group.create_task(self._follow(service, index))
        finally:
            await self._finish()

    async def _finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.save()

    async def _follow(self, service: Service, index: int) -> None:
        """Check one service for ever: first within ten seconds, then at its own place in the
        interval, so that many services are spread over all of it."""
        loop = asyncio.get_running_loop()
        interval = self.settings.interval
        share = index / len(self.services)
        remembered = self.memories[service.name].pending is not None
        await asyncio.sleep(min(interval, 10.0) * share)
        shift = interval * share - min(interval, 10.0) * share
        while True:
            begun = loop.time()
            async with self._turn:
                await self.check(service)
            if remembered:
                self._ask(service)
                remembered = False
            pace = self._pace(service)
            due = begun + pace
            if pace == interval:
                due, shift = due + shift, 0.0
            hurry = self._hurry[service.name]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_check_at(due, pace, loop.time())):
                    await hurry.wait()
            hurry.clear()

    def _pace(self, service: Service) -> float:
        """Seconds until the next check: fewer for a while where something is undecided, unless
        that holds for so many services at once that it would cost too much."""
        memory = self.memories[service.name]
        interval = self.settings.interval
        settled = memory.healthy is True and memory.failures == 0 and memory.state in SERVING
        begun = max(memory.since, memory.last_restart_at or 0.0, memory.failing_since or 0.0)
        recent = self._clock() - begun < EAGER_TIME
        if settled or not recent:
            self._eager.discard(service.name)
            return interval
        self._eager.add(service.name)
        crowd = max(1.0, len(self._eager) / EAGER_AT_ONCE)
        return min(interval, self.settings.thresholds.retry_interval * crowd)

    async def check(self, service: Service) -> None:
        """Check a service once, and do what follows from it."""
        name = service.name
        try:
            verdict = await self._checker.check(service, self._clock())
        except Exception as error:
            # One broken check must not end the watch over all the others.
            reason = f"the check itself failed: {type(error).__name__}: {error}"
            verdict = Verdict(State.UNKNOWN, "check_failed", reason)
        tally = self.tallies[name]
        tally.checks += 1
        tally.failures += verdict.state in FAILED
        self.last_check_at = self._clock()
        step = observe(
            self.memories[name], name, verdict, self._policies[name], self._world(service)
        )
        self._take(service, step)
        if not self.is_paused(service):
            for listener in self._check_listeners:
                listener(service, step.memory)
        self._detail(service, verdict)
        if verdict.excusable:
            self._hasten(service)
        if any(event.happening is Happening.RESTART_ASKED for event in step.events):
            self._ask(service)

    def _world(self, service: Service) -> World:
        others = {other: self.memories[other] for other in service.depends_on}
        failed = tuple(other for other, memory in others.items() if not can_serve(memory))
        fine = min((fine_at(memory) for memory in others.values()), default=math.inf)
        return World(self._clock(), self.is_paused(service), failed, fine)

    def _hasten(self, service: Service) -> None:
        """Check at once the dependencies that may explain why a service can't serve."""
        since = self.memories[service.name].failing_since
        for other in service.depends_on:
            if since is not None and fine_at(self.memories[other]) < since:
                self._hurry[other].set()

    def is_paused(self, service: Service) -> bool:
        """Whether restarts and alerts are off for a service just now."""
        return self._clock() < self.memories[service.name].paused_until

    def _take(self, service: Service, step: Step) -> None:
        self.memories[service.name] = step.memory
        self._dirty = True
        for event in step.events:
            _log_event(event)
            for listener in self._listeners:
                listener(service, event)

    def _ask(self, service: Service) -> None:
        task = asyncio.create_task(self._restart(service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _restart(self, service: Service) -> None:
        """Put the decision on disk first: a monitor that dies in between asks again, and the
        restarter sees by the container's start whether it has been done. What has meanwhile
        recovered, or was paused, is not restarted."""
        await self.save()
        async with self._restart_turn:
            memory = self.memories[service.name]
            if memory.pending is None or self._restarter is None:
                return
            if self._still_failed(service):
                answer = await self._restarter.restart(service, memory.pending)
                step = answered(
                    self.memories[service.name],
                    service.name,
                    answer,
                    self._policies[service.name],
                    self._clock(),
                    self._chance(),
                    paused=self.is_paused(service),
                )
                if answer.outcome in (Outcome.RESTARTED, Outcome.FRESH):
                    self._checker.forget(service)
                self._take(service, step)
            else:
                self.memories[service.name] = replace(memory, pending=None)
        await self.save()

    def _still_failed(self, service: Service) -> bool:
        """Whether a restart that was decided on is still wanted."""
        memory = self.memories[service.name]
        failed = memory.state in FAILED and memory.failures > 0
        return failed and self._policies[service.name].restart and not self.is_paused(service)

    def pause(self, names: Iterable[str], seconds: float) -> None:
        """No restarts and alerts for these services until so many seconds from now."""
        now = self._clock()
        for name in names:
            step = pause(self.memories[name], name, now + seconds, now)
            self._take(self.services[name], step)

    def resume(self, names: Iterable[str]) -> None:
        """End their pause, and take up restarts again where the monitor gave up."""
        for name in names:
            step = resume(self.memories[name], name, self._clock())
            self._take(self.services[name], step)

    async def save(self) -> None:
        """Put what is remembered on disk, in a thread as the disk may be slow."""
        self._dirty = False
        snapshot = dict(self.memories)
        try:
            await asyncio.to_thread(self._store.save, snapshot)
            self.state_writable = True
        except OSError as error:
            if self.state_writable:
                log.error("state not saved", reason=str(error))
            self.state_writable = False

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY)
            if self._dirty:
                await self.save()

    async def _watch_restarter(self) -> None:
        """Know before it is needed whether a restart could be done, and say so once."""
        while self._restarter is not None:
            works = await self._restarter.works()
            if works is not self.restarter_works:
                if works:
                    log.info("restarter works")
                else:
                    log.warning("restarter does not work")
            self.restarter_works = works
            await asyncio.sleep(self.settings.interval)

    def _detail(self, service: Service, verdict: Verdict) -> None:
        """A detailed line every N checks of a service."""
        count = self.tallies[service.name].checks
        if count % DETAIL_EVERY:
            return
        memory = self.memories[service.name]
        log.info(
            "service checked",
            service=service.name,
            kind=service.kind.value,
            state=memory.state.value,
            seconds_in_state=round(self._clock() - memory.since),
            reason=memory.reason,
            latency_ms=None if verdict.latency is None else round(verdict.latency * 1000, 1),
            checks=count,
            failures=memory.failures or None,
            restarts=memory.restarts_total or None,
            held=memory.held or None,
        )


def next_check_at(due: float, pace: float, now: float) -> float:
    """The tick, of those that all checks at this pace share, which is nearest to the due time."""
    tick = pace / max(TICKS, math.ceil(pace / TICK))
    return max(now + SHORTEST_PAUSE, round(due / tick) * tick)


LOG_MESSAGES = {
    Happening.STATE: "state changed",
    Happening.FAILED: "service failed",
    Happening.RECOVERED: "service recovered",
    Happening.RESTART_ASKED: "restart requested",
    Happening.RESTARTED: "service restarted",
    Happening.RESTARTED_ELSEWHERE: "service restarted by someone else",
    Happening.RESTART_HELD: "restart withheld",
    Happening.RESTART_FAILED: "restart failed",
    Happening.GAVE_UP: "restarts given up",
    Happening.FLAPPING: "flapping started",
    Happening.SETTLED: "flapping ended",
    Happening.PAUSED: "pause started",
    Happening.RESUMED: "pause ended",
}


def _log_event(event: Event) -> None:
    failing = event.after in FAILED or event.happening in (
        Happening.FAILED,
        Happening.GAVE_UP,
        Happening.RESTART_FAILED,
    )
    write = log.warning if failing else log.info
    write(
        LOG_MESSAGES[event.happening],
        service=event.service,
        before=event.before and event.before.value,
        after=event.after and event.after.value,
        reason=event.reason,
        code=event.code or None,
        alert=event.alert or None,
    )
