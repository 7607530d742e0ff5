"""Tells people: alerts to webhooks, each once, with reminders, and kept until delivered.

What is told is decided in `decisions` (an event's `alert`). Here alerts that come close
together share a message, messages wait in an outbox that survives a restart of the monitor,
and a problem that stays is told again. A message is delivered at least once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from app.monitor.alerting.messages import Alert, render
from app.monitor.checks.fetch import Answer, Fetcher, NoAnswer
from app.monitor.decisions.decisions import Event, Happening
from app.monitor.settings import AlertSettings, Service, Webhook
from app.monitor.store.store import Store
from app.shared.json_log import Log

log = Log("monitor")

OUTBOX_LIMIT = 200
"""Messages kept for delivery; beyond it the oldest are dropped, and that is logged."""

DELIVER_WITHIN = 10.0
FIRST_RETRY = 2.0
"""Seconds until a failed delivery is retried; doubled after each failure."""
LONGEST_RETRY = 900.0
DROP_AFTER = 86_400.0
"""Seconds after which a message that could not be delivered is dropped."""

OPENING = (Happening.FAILED, Happening.GAVE_UP, Happening.RESTART_HELD, Happening.RESTART_FAILED)


@dataclass(slots=True)
class Message:
    """Alerts on their way to one webhook. Times are seconds since the epoch."""

    webhook: str
    alerts: tuple[Alert, ...]
    made_at: float
    attempts: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class Mailbox:
    """What survives a restart: messages on their way, and problems that are open."""

    outbox: list[Message] = field(default_factory=list)
    open: dict[str, Alert] = field(default_factory=dict)
    told_at: dict[str, float] = field(default_factory=dict)


class Alerter:
    """Collects alerts and delivers them.

    :param services: the names of those configured; problems of others are forgotten.
    :param paused: whether a service of that name is paused, so that nobody is reminded of it.
    """

    def __init__(
        self,
        rules: AlertSettings,
        stack: str,
        state_dir: Path,
        fetcher: Fetcher,
        clock: Callable[[], float] = time.time,
        *,
        services: Container[str],
        paused: Callable[[str], bool],
    ) -> None:
        self.sent: dict[tuple[str, str], int] = {}
        self._rules = rules
        self._stack = stack
        self._fetcher = fetcher
        self._clock = clock
        self._fresh: list[Alert] = []
        self._woken = asyncio.Event()
        self._store = Store(state_dir / "alerts.json", TypeAdapter(Mailbox))
        self._paused = paused
        self._box = self._store.load() or Mailbox()
        for name in [name for name in self._box.open if name not in services]:
            del self._box.open[name]
            self._box.told_at.pop(name, None)

    @property
    def waiting(self) -> int:
        """Messages not yet delivered."""
        return len(self._box.outbox)

    def hear(self, service: Service, event: Event) -> None:
        """Take in an event; what is no alert is ignored."""
        if not event.alert:
            return
        alert = Alert(event.happening, event.service, event.reason, event.at)
        box = self._box
        if event.happening in OPENING:
            earlier = box.open.get(event.service)
            box.open[event.service] = replace(alert, at=earlier.since) if earlier else alert
            box.told_at[event.service] = event.at
        elif event.happening is Happening.RECOVERED:
            opened = box.open.pop(event.service, None)
            box.told_at.pop(event.service, None)
            if opened:
                alert = replace(alert, opened_at=opened.since)
        self._fresh.append(alert)
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                await self._wait()
                await self.turn()
        finally:
            self._pack()
            await self._save()

    async def _wait(self) -> None:
        """Until there is something to do: a new alert, or a message or reminder that is due."""
        try:
            async with asyncio.timeout(self._pause()):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
        # What fails together is told together.
        await asyncio.sleep(self._rules.group_wait)

    def _pause(self) -> float:
        due = [message.not_before for message in self._box.outbox]
        due += [
            at + self._rules.remind_every
            for name, at in self._box.told_at.items()
            if not self._paused(name)
        ]
        return min(60.0, max(0.05, min(due, default=1e12) - self._clock()))

    async def turn(self) -> None:
        """Pack what is new, remind of what stays, and try every message that is due."""
        self._remind()
        heard = bool(self._fresh)
        self._pack()
        now = self._clock()
        due = [message for message in self._box.outbox if message.not_before <= now]
        if heard or due:
            await self._save()
        if due:
            await asyncio.gather(*map(self._deliver, due))
            await self._save()

    def _remind(self) -> None:
        now = self._clock()
        for service, told_at in self._box.told_at.items():
            if now - told_at >= self._rules.remind_every and not self._paused(service):
                opened = self._box.open[service]
                self._box.told_at[service] = now
                self._fresh.append(replace(opened, at=now, opened_at=opened.since, reminder=True))

    def _pack(self) -> None:
        """One message for each webhook out of all new alerts."""
        if not self._fresh:
            return
        alerts, self._fresh = tuple(self._fresh), []
        now = self._clock()
        self._box.outbox += [Message(webhook.name, alerts, now) for webhook in self._rules.webhooks]
        if surplus := self._box.outbox[:-OUTBOX_LIMIT]:
            log.error("alert messages dropped", messages=len(surplus), reason="the outbox is full")
            del self._box.outbox[:-OUTBOX_LIMIT]

    async def _deliver(self, message: Message) -> None:
        webhook = next((w for w in self._rules.webhooks if w.name == message.webhook), None)
        if webhook is None:
            self._box.outbox.remove(message)
            return
        fault, wait = await self._post(webhook, message.alerts)
        message.attempts += 1
        if fault is None:
            self._done(message, "delivered")
        elif self._clock() - message.made_at > DROP_AFTER:
            log.error("alert message dropped", webhook=webhook.name, reason=fault)
            self._done(message, "dropped")
        else:
            delay = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(message.attempts - 1, 30))
            message.not_before = self._clock() + max(delay, wait)
            self._count(webhook.name, "failed")
            log.warning("alert message not delivered", webhook=webhook.name, reason=fault)

    def _done(self, message: Message, result: str) -> None:
        self._box.outbox.remove(message)
        self._count(message.webhook, result)

    def _count(self, webhook: str, result: str) -> None:
        self.sent[webhook, result] = self.sent.get((webhook, result), 0) + 1

    async def _post(self, webhook: Webhook, alerts: Sequence[Alert]) -> tuple[str | None, float]:
        """The fault, or None, and how long the webhook asks us to wait. The address is a secret,
        so no fault may hold it."""
        try:
            url = (await asyncio.to_thread(webhook.url_file.read_text)).strip()
            body = render(webhook.format, self._stack, alerts, self._rules.page_url)
            answer = await self._fetcher.post(url, DELIVER_WITHIN, json=body)
        except OSError as error:
            return f"its address cannot be read: {error.strerror}", 0.0
        except (NoAnswer, ValueError) as fault:
            return (str(fault) if isinstance(fault, NoAnswer) else "not a valid address"), 0.0
        if 200 <= answer.status < 300:
            return None, 0.0
        return f"HTTP {answer.status}", _retry_after(answer)

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._store.save, self._box)
        except OSError as error:
            log.error("alerts not saved", reason=str(error))


def _retry_after(answer: Answer) -> float:
    return min(3600.0, answer.retry_after or 0.0)
