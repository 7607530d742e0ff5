"""Alerts: formats, grouping, retries, reminders, and delivery after a restart."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from app.monitor.alerting.alert_sender import OUTBOX_LIMIT, AlertSender
from app.monitor.alerting.messages import Alert, duration, render
from app.monitor.checks.http_client import HttpClient
from app.monitor.decisions.records import Event, EventType
from app.monitor.settings import AlertSettings, Service, WebhookFormat
from tests.doubles.watched_service import WatchedService, serving
from tests.unit.monitor.conftest import LogLines

PHI = Service.model_validate({"name": "phi", "url": "http://phi"})
HOUR = 3600.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Mail:
    """An alert_sender whose webhooks are paths of a service service."""

    def __init__(
        self, folder: Path, service: WatchedService, http_client: HttpClient, **rules: object
    ) -> None:
        self.folder, self.service, self.http_client = folder, service, http_client
        self.clock = Clock()
        self.file = folder / "hook"
        self.file.write_text(f"{service.url}/hook/secret-part\n")
        hooks = [{"name": "ops", "format": "generic", "url_file": self.file}]
        self.rules = AlertSettings.model_validate(
            {"webhooks": hooks, "remind_every": 4 * HOUR} | rules
        )
        self.paused = False
        self.alert_sender = self.make()

    def make(self, *services: str) -> AlertSender:
        return AlertSender(
            self.rules,
            "dev",
            self.folder,
            self.http_client,
            self.clock,
            services=services or ("phi",),
            paused=lambda name: self.paused,
        )

    def send(self, event_type: EventType, reason: str = "refused", *, alert: bool = True) -> None:
        self.alert_sender.on_event(
            PHI, Event(event_type, "phi", self.clock.now, reason, alert=alert)
        )

    async def pass_time(self, seconds: float, step: float = 60.0) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += step
            await self.alert_sender.process()

    @property
    def got(self) -> list[Any]:
        return [alert for body in self.service.bodies for alert in body["alerts"]]


@pytest.fixture
async def mail(tmp_path: Path) -> AsyncIterator[Mail]:
    http_client = HttpClient.create()
    async with serving(**{"hook/secret-part": (200, {})}) as service:
        yield Mail(tmp_path, service, http_client)
    await http_client.close()


async def test_an_alert_is_delivered_once(mail: Mail) -> None:
    mail.send(EventType.FAILED)
    await mail.pass_time(HOUR)
    assert len(mail.got) == 1
    assert mail.got[0]["text"] == "🔴 phi failed: refused"
    assert (mail.got[0]["status"], mail.got[0]["reminder"]) == ("firing", False)


async def test_an_event_without_alert_is_not_sent(mail: Mail) -> None:
    mail.send(EventType.STATE, alert=False)
    await mail.pass_time(HOUR)
    assert mail.got == []


async def test_alerts_that_come_together_share_a_message(mail: Mail) -> None:
    for _ in range(5):
        mail.send(EventType.FAILED)
    await mail.alert_sender.process()
    assert [len(body["alerts"]) for body in mail.service.bodies] == [5]


async def test_a_recovery_has_the_duration_of_the_failure(mail: Mail) -> None:
    mail.send(EventType.FAILED)
    mail.clock.now += 95
    mail.send(EventType.RECOVERED, "HTTP 200")
    await mail.alert_sender.process()
    assert mail.got[-1]["text"] == "🟢 phi recovered after 1 min 35 s: HTTP 200"
    assert mail.got[-1]["status"] == "resolved"


async def test_reminders_are_sent_until_a_problem_is_over(mail: Mail) -> None:
    mail.send(EventType.FAILED)
    await mail.pass_time(9 * HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False, True, True]
    assert "still: failed after 4 h" in mail.got[1]["text"]
    mail.send(EventType.RECOVERED)
    await mail.pass_time(9 * HOUR)
    assert len(mail.got) == 4


@pytest.mark.parametrize("step", [-9 * HOUR, 9 * HOUR])
async def test_a_clock_that_is_set_neither_delays_a_message_nor_repeats_it(
    mail: Mail, step: float
) -> None:
    mail.service.responses["/hook/secret-part"] = (503, {})
    mail.send(EventType.FAILED)
    await mail.alert_sender.process()
    mail.service.responses["/hook/secret-part"] = (200, {})
    mail.clock.now += step
    mail.alert_sender.on_clock_step(step)
    await mail.pass_time(HOUR)
    assert mail.alert_sender.waiting == 0
    await mail.pass_time(4 * HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False, False, True]


async def test_no_reminder_is_sent_in_a_pause_but_afterwards(mail: Mail) -> None:
    mail.send(EventType.FAILED)
    mail.paused = True
    await mail.pass_time(9 * HOUR)
    assert mail.alert_sender.seconds_until_due() == 60, "it does not poll in the meantime"
    assert [alert["reminder"] for alert in mail.got] == [False]
    mail.paused = False
    await mail.pass_time(HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False, True]


async def test_problems_of_services_no_longer_watched_are_dropped(mail: Mail) -> None:
    mail.send(EventType.FAILED)
    await mail.alert_sender.process()
    mail.alert_sender = mail.make("qwen")
    await mail.pass_time(9 * HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False]


async def test_a_problem_that_ends_without_webhooks_is_over_when_there_are_some_again(
    mail: Mail,
) -> None:
    mail.send(EventType.FAILED)
    await mail.alert_sender.process()
    with_webhooks = mail.rules
    mail.rules = AlertSettings()
    mail.alert_sender = mail.make()
    mail.send(EventType.RECOVERED)
    await mail.alert_sender.process()
    mail.rules = with_webhooks
    mail.alert_sender = mail.make()
    await mail.pass_time(9 * HOUR, step=600)
    assert [one["event"] for one in mail.got] == ["failed"]


async def test_giving_up_keeps_the_start_of_the_problem(mail: Mail) -> None:
    mail.send(EventType.FAILED)
    mail.clock.now += HOUR
    mail.send(EventType.GAVE_UP, "5 restarts did not help")
    mail.clock.now += HOUR
    mail.send(EventType.RECOVERED)
    await mail.alert_sender.process()
    assert "recovered after 2 h" in mail.got[-1]["text"]


async def test_a_failed_delivery_is_retried_with_a_growing_delay(mail: Mail) -> None:
    mail.service.responses["/hook/secret-part"] = (500, {})
    mail.send(EventType.FAILED)
    await mail.pass_time(600, step=1)
    attempts = len(mail.service.bodies)
    assert 6 <= attempts <= 10, "after 2, 4, 8, ... seconds"
    mail.service.responses["/hook/secret-part"] = (200, {})
    await mail.pass_time(1200, step=60)
    assert len(mail.service.bodies) == attempts + 1
    assert mail.alert_sender.waiting == 0
    assert mail.alert_sender.sent == {("ops", "failed"): attempts, ("ops", "delivered"): 1}


async def test_the_header_retry_after_is_respected(mail: Mail) -> None:
    mail.service.responses["/hook/secret-part"] = (429, {})
    mail.service.headers["Retry-After"] = "300"
    mail.send(EventType.FAILED)
    await mail.pass_time(299, step=1)
    assert len(mail.service.bodies) == 1


async def test_a_message_that_cannot_be_delivered_for_a_day_is_dropped(mail: Mail) -> None:
    mail.service.responses["/hook/secret-part"] = (404, {})
    mail.send(EventType.SETTLED)
    await mail.pass_time(25 * HOUR, step=300)
    assert mail.alert_sender.waiting == 0
    assert mail.alert_sender.sent["ops", "dropped"] == 1


async def test_the_outbox_survives_the_monitor(mail: Mail) -> None:
    mail.service.responses["/hook/secret-part"] = None
    mail.alert_sender._http_client = _Broken()  # type: ignore[assignment]
    mail.send(EventType.FAILED)
    await mail.alert_sender.process()
    mail.service.responses["/hook/secret-part"] = (200, {})
    mail.alert_sender = mail.make()
    await mail.pass_time(60)
    assert len(mail.got) == 1
    mail.alert_sender = mail.make()
    await mail.pass_time(5 * HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False, True], "and so do open problems"


class _Broken:
    async def post(self, *args: object, **options: object) -> object:
        raise OSError(5, "broken")


async def test_the_outbox_is_bounded(mail: Mail) -> None:
    mail.service.responses["/hook/secret-part"] = (500, {})
    for _ in range(OUTBOX_LIMIT + 50):
        mail.send(EventType.SETTLED)
        mail.alert_sender._queue_messages()
    assert mail.alert_sender.waiting == OUTBOX_LIMIT


@pytest.mark.parametrize("content", ["", "nonsense", "http://", "http://127.0.0.1:1/secret-part"])
async def test_no_log_line_contains_the_secret_url(
    mail: Mail, content: str, log_lines: LogLines
) -> None:
    mail.file.write_text(content)
    mail.send(EventType.FAILED)
    await mail.alert_sender.process()
    line = log_lines()[-1]
    assert line["message"] == "alert message not delivered"
    assert "secret-part" not in json.dumps(line)


def test_slack_text_is_escaped() -> None:
    body = render(WebhookFormat.SLACK, "dev", [_alert("<!channel> a & b")], None)
    assert body == {"text": "[dev] 🔴 phi failed: &lt;!channel&gt; a &amp; b"}


def test_a_discord_message_mentions_nobody_and_stays_within_its_limit() -> None:
    alerts = [_alert("@everyone " + "x" * 1000) for _ in range(50)]
    body = render(WebhookFormat.DISCORD, "dev", alerts, HttpUrl("https://status.example.com/"))
    assert body["allowed_mentions"] == {"parse": []}
    assert len(str(body["content"])) <= 2000


def test_many_alerts_are_shortened_as_text_and_complete_as_json() -> None:
    alerts = [_alert("x") for _ in range(50)]
    text = str(render(WebhookFormat.SLACK, "dev", alerts, None)["text"])
    assert "… and 30 more" in text
    plain = render(WebhookFormat.GENERIC, "dev", alerts, None)
    assert len(plain["alerts"]) == 50  # type: ignore[arg-type]


def _alert(reason: str) -> Alert:
    return Alert(EventType.FAILED, "phi", reason, 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_as_text(seconds: float, text: str) -> None:
    assert duration(seconds) == text
