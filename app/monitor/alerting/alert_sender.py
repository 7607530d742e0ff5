"""Sends alerts to webhooks: grouped, retried until delivered or a day old, with reminders.

The decisions mark the events that are alerts. Messages wait in an outbox that survives a restart
of the monitor, so each is delivered at least once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import TypeAdapter

from app.monitor.alerting.messages import Alert, render
from app.monitor.checks.http_client import HttpClient, NoResponse
from app.monitor.decisions.records import Event, EventType
from app.monitor.renamed_fields import formerly
from app.monitor.settings import AlertSettings, Service, Webhook
from app.monitor.store.state_file import StateFile
from app.shared.json_log import Log

log = Log("monitor")

OUTBOX_LIMIT = 200
"""Messages kept for delivery; beyond it the oldest are dropped, which is logged."""

DELIVER_WITHIN = 10.0
FIRST_RETRY = 2.0
"""Seconds until a failed delivery is retried; doubled after each failure."""
LONGEST_RETRY = 900.0
LONGEST_RETRY_AFTER = 3600.0
DROP_AFTER = 86_400.0
"""Seconds after which a message that could not be delivered is dropped."""
LONGEST_WAIT = 60.0

OPENING = (
    EventType.FAILED,
    EventType.GAVE_UP,
    EventType.RESTART_HELD,
    EventType.RESTART_FAILED,
)


@dataclass(slots=True)
class Message:
    """Alerts for one webhook. Times are seconds since the epoch."""

    webhook: str
    alerts: tuple[Alert, ...]
    made_at: float
    attempts: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class AlertState:
    """What survives a restart: undelivered messages, open problems, and when each was last
    alerted."""

    outbox: list[Message] = field(default_factory=list)
    open: dict[str, Alert] = field(default_factory=dict)
    alerted_at: Annotated[dict[str, float], formerly("alerted_at", "told_at")] = field(
        default_factory=dict
    )


class AlertSender:
    """Collects alerts and delivers them.

    :param services: names of the configured ones; open problems of others are dropped.
    :param paused: whether the service of that name is paused, so that no reminder is sent.
    """

    def __init__(
        self,
        settings: AlertSettings,
        stack: str,
        state_dir: Path,
        http_client: HttpClient,
        clock: Callable[[], float] = time.time,
        *,
        services: Container[str],
        paused: Callable[[str], bool],
    ) -> None:
        self.sent: dict[tuple[str, str], int] = {}
        self._settings = settings
        self._webhooks = {webhook.name: webhook for webhook in settings.webhooks}
        self._stack = stack
        self._http_client = http_client
        self._clock = clock
        self._new_alerts: list[Alert] = []
        self._has_new = asyncio.Event()
        self._state_file = StateFile(state_dir / "alerts.json", TypeAdapter(AlertState))
        self._paused = paused
        self._state = self._state_file.load() or AlertState()
        self.keep(services)

    def keep(self, services: Container[str]) -> None:
        """Drop the open problems of all other services."""
        for name in [name for name in self._state.open if name not in services]:
            del self._state.open[name]
            self._state.alerted_at.pop(name, None)

    def on_clock_step(self, step: float) -> None:
        """Move the times with a clock that was set: no message waits until it has caught up."""
        for message in self._state.outbox:
            message.made_at += step
            message.not_before += step
        for service in self._state.alerted_at:
            self._state.alerted_at[service] += step

    @property
    def waiting(self) -> int:
        """Messages not yet delivered."""
        return len(self._state.outbox)

    def on_event(self, service: Service, event: Event) -> None:
        """Collect an event if it is an alert."""
        if not event.alert:
            return
        alert = Alert(event.type, event.service, event.reason, event.at)
        state = self._state
        if event.type in OPENING:
            earlier = state.open.get(event.service)
            state.open[event.service] = replace(alert, at=earlier.since) if earlier else alert
            state.alerted_at[event.service] = event.at
        elif event.type is EventType.RECOVERED:
            opened = state.open.pop(event.service, None)
            state.alerted_at.pop(event.service, None)
            if opened:
                alert = replace(alert, opened_at=opened.since)
        self._new_alerts.append(alert)
        self._has_new.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                await self._wait()
                await self.process()
        finally:
            self._queue_messages()
            await self._save()

    async def _wait(self) -> None:
        """Until there is a new alert, or a message or a reminder is due."""
        try:
            async with asyncio.timeout(self.seconds_until_due()):
                await self._has_new.wait()
        except TimeoutError:
            return
        self._has_new.clear()
        # Alerts within this time share a message.
        await asyncio.sleep(self._settings.group_wait)

    def seconds_until_due(self) -> float:
        """Until the next message or reminder; a minute at most."""
        due = [message.not_before for message in self._state.outbox]
        due += [
            at + self._settings.remind_every
            for name, at in self._state.alerted_at.items()
            if not self._paused(name)
        ]
        return min(LONGEST_WAIT, max(0.05, min(due, default=1e12) - self._clock()))

    async def process(self) -> None:
        """Queue new alerts and reminders, and send every message that is due."""
        self._add_reminders()
        has_new = bool(self._new_alerts)
        self._queue_messages()
        now = self._clock()
        due = [message for message in self._state.outbox if message.not_before <= now]
        if has_new or due:
            await self._save()
        if due:
            await asyncio.gather(*map(self._deliver, due))
            await self._save()

    def _add_reminders(self) -> None:
        now = self._clock()
        for service, at in self._state.alerted_at.items():
            if now - at >= self._settings.remind_every and not self._paused(service):
                opened = self._state.open[service]
                self._state.alerted_at[service] = now
                reminder = replace(opened, at=now, opened_at=opened.since, reminder=True)
                self._new_alerts.append(reminder)

    def _queue_messages(self) -> None:
        """One message for each webhook with all new alerts."""
        if not self._new_alerts:
            return
        alerts, self._new_alerts = tuple(self._new_alerts), []
        now, outbox = self._clock(), self._state.outbox
        outbox += [Message(name, alerts, now) for name in self._webhooks]
        if surplus := outbox[:-OUTBOX_LIMIT]:
            log.error("alert messages dropped", messages=len(surplus), reason="the outbox is full")
            del outbox[:-OUTBOX_LIMIT]

    async def _deliver(self, message: Message) -> None:
        webhook = self._webhooks.get(message.webhook)
        if webhook is None:
            self._state.outbox.remove(message)
            return
        problem, wait = await self._post(webhook, message.alerts)
        message.attempts += 1
        if problem is None:
            self._remove(message, "delivered")
        elif self._clock() - message.made_at > DROP_AFTER:
            log.error("alert message dropped", webhook=webhook.name, reason=problem)
            self._remove(message, "dropped")
        else:
            delay = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(message.attempts - 1, 30))
            message.not_before = self._clock() + max(delay, wait)
            self._count(webhook.name, "failed")
            log.warning("alert message not delivered", webhook=webhook.name, reason=problem)

    def _remove(self, message: Message, result: str) -> None:
        self._state.outbox.remove(message)
        self._count(message.webhook, result)

    def _count(self, webhook: str, result: str) -> None:
        self.sent[webhook, result] = self.sent.get((webhook, result), 0) + 1

    async def _post(self, webhook: Webhook, alerts: Sequence[Alert]) -> tuple[str | None, float]:
        """The problem, or None, and the seconds of the header Retry-After. The URL is a secret,
        so the text of a problem must not contain it."""
        try:
            url = (await asyncio.to_thread(webhook.url_file.read_text)).strip()
            body = render(webhook.format, self._stack, alerts, self._settings.page_url)
            response = await self._http_client.post(url, DELIVER_WITHIN, json=body)
        except OSError as error:
            return f"its URL cannot be read: {error.strerror}", 0.0
        except NoResponse as error:
            return str(error), 0.0
        except ValueError:
            return "its URL is not valid", 0.0
        if 200 <= response.status < 300:
            return None, 0.0
        return f"HTTP {response.status}", min(LONGEST_RETRY_AFTER, response.retry_after or 0.0)

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._state_file.save, self._state)
        except OSError as error:
            log.error("alerts not saved", reason=str(error))
