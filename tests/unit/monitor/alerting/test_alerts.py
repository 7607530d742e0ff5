"""Alerts on their way to people: formats, grouping, retries, reminders, and no loss."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from app.monitor.alerting.alerts import OUTBOX_LIMIT, Alerter
from app.monitor.alerting.messages import Alert, duration, render
from app.monitor.checks.fetch import Fetcher
from app.monitor.decisions.decisions import Event, Happening
from app.monitor.settings import AlertSettings, Service, WebhookFormat
from tests.doubles.watched_service import FakeService, serving
from tests.unit.monitor.conftest import LogLines

PHI = Service.model_validate({"name": "phi", "url": "http://phi"})
HOUR = 3600.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Mail:
    """An alerter whose webhooks are paths of a fake service."""

    def __init__(self, folder: Path, fake: FakeService, fetcher: Fetcher, **rules: object) -> None:
        self.folder, self.fake, self.fetcher = folder, fake, fetcher
        self.clock = Clock()
        self.file = folder / "hook"
        self.file.write_text(f"{fake.url}/hook/secret-part\n")
        hooks = [{"name": "ops", "format": "generic", "url_file": self.file}]
        self.rules = AlertSettings.model_validate(
            {"webhooks": hooks, "remind_every": 4 * HOUR} | rules
        )
        self.paused = False
        self.alerter = self.make()

    def make(self, *services: str) -> Alerter:
        return Alerter(
            self.rules,
            "dev",
            self.folder,
            self.fetcher,
            self.clock,
            services=services or ("phi",),
            paused=lambda name: self.paused,
        )

    def tell(self, happening: Happening, reason: str = "refused", *, alert: bool = True) -> None:
        self.alerter.hear(PHI, Event(happening, "phi", self.clock.now, reason, alert=alert))

    async def pass_time(self, seconds: float, step: float = 60.0) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += step
            await self.alerter.turn()

    @property
    def got(self) -> list[Any]:
        return [alert for body in self.fake.bodies for alert in body["alerts"]]


@pytest.fixture
async def mail(tmp_path: Path) -> AsyncIterator[Mail]:
    fetcher = Fetcher.create()
    async with serving(**{"hook/secret-part": (200, {})}) as fake:
        yield Mail(tmp_path, fake, fetcher)
    await fetcher.close()


async def test_an_alert_is_delivered_once(mail: Mail) -> None:
    mail.tell(Happening.FAILED)
    await mail.pass_time(HOUR)
    assert len(mail.got) == 1
    assert mail.got[0]["text"] == "🔴 phi failed: refused"
    assert (mail.got[0]["status"], mail.got[0]["reminder"]) == ("firing", False)


async def test_what_is_no_alert_is_not_sent(mail: Mail) -> None:
    mail.tell(Happening.STATE, alert=False)
    await mail.pass_time(HOUR)
    assert mail.got == []


async def test_alerts_that_come_together_share_a_message(mail: Mail) -> None:
    for _ in range(5):
        mail.tell(Happening.FAILED)
    await mail.alerter.turn()
    assert [len(body["alerts"]) for body in mail.fake.bodies] == [5]


async def test_a_recovery_says_how_long_it_took(mail: Mail) -> None:
    mail.tell(Happening.FAILED)
    mail.clock.now += 95
    mail.tell(Happening.RECOVERED, "HTTP 200")
    await mail.alerter.turn()
    assert mail.got[-1]["text"] == "🟢 phi recovered after 1 min 35 s: HTTP 200"
    assert mail.got[-1]["status"] == "resolved"


async def test_a_problem_that_stays_is_told_again_until_it_is_over(mail: Mail) -> None:
    mail.tell(Happening.FAILED)
    await mail.pass_time(9 * HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False, True, True]
    assert "still: failed after 4 h" in mail.got[1]["text"]
    mail.tell(Happening.RECOVERED)
    await mail.pass_time(9 * HOUR)
    assert len(mail.got) == 4


async def test_in_a_pause_nobody_is_reminded_and_afterwards_they_are(mail: Mail) -> None:
    mail.tell(Happening.FAILED)
    mail.paused = True
    await mail.pass_time(9 * HOUR)
    assert mail.alerter._pause() == 60, "it does not look again all the time"
    assert [alert["reminder"] for alert in mail.got] == [False]
    mail.paused = False
    await mail.pass_time(HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False, True]


async def test_problems_of_what_is_no_longer_watched_are_forgotten(mail: Mail) -> None:
    mail.tell(Happening.FAILED)
    await mail.alerter.turn()
    mail.alerter = mail.make("qwen")
    await mail.pass_time(9 * HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False]


async def test_a_problem_that_ends_while_nobody_is_told_is_over_when_somebody_is(
    mail: Mail,
) -> None:
    mail.tell(Happening.FAILED)
    await mail.alerter.turn()
    told = mail.rules
    mail.rules = AlertSettings()
    mail.alerter = mail.make()
    mail.tell(Happening.RECOVERED)
    await mail.alerter.turn()
    mail.rules = told
    mail.alerter = mail.make()
    await mail.pass_time(9 * HOUR, step=600)
    assert [one["event"] for one in mail.got] == ["failed"]


async def test_giving_up_keeps_the_time_at_which_it_began(mail: Mail) -> None:
    mail.tell(Happening.FAILED)
    mail.clock.now += HOUR
    mail.tell(Happening.GAVE_UP, "5 restarts did not help")
    mail.clock.now += HOUR
    mail.tell(Happening.RECOVERED)
    await mail.alerter.turn()
    assert "recovered after 2 h" in mail.got[-1]["text"]


async def test_a_webhook_that_fails_is_tried_again_ever_more_rarely(mail: Mail) -> None:
    mail.fake.answers["/hook/secret-part"] = (500, {})
    mail.tell(Happening.FAILED)
    await mail.pass_time(600, step=1)
    attempts = len(mail.fake.bodies)
    assert 6 <= attempts <= 10, "after 2, 4, 8, ... seconds"
    mail.fake.answers["/hook/secret-part"] = (200, {})
    await mail.pass_time(1200, step=60)
    assert len(mail.fake.bodies) == attempts + 1
    assert mail.alerter.waiting == 0
    assert mail.alerter.sent == {("ops", "failed"): attempts, ("ops", "delivered"): 1}


async def test_a_webhook_may_ask_for_more_time(mail: Mail) -> None:
    mail.fake.answers["/hook/secret-part"] = (429, {})
    mail.fake.headers["Retry-After"] = "300"
    mail.tell(Happening.FAILED)
    await mail.pass_time(299, step=1)
    assert len(mail.fake.bodies) == 1


async def test_what_cannot_be_delivered_for_a_day_is_dropped(mail: Mail) -> None:
    mail.fake.answers["/hook/secret-part"] = (404, {})
    mail.tell(Happening.SETTLED)
    await mail.pass_time(25 * HOUR, step=300)
    assert mail.alerter.waiting == 0
    assert mail.alerter.sent["ops", "dropped"] == 1


async def test_the_outbox_survives_the_monitor(mail: Mail) -> None:
    mail.fake.answers["/hook/secret-part"] = None
    mail.alerter._fetcher = _Broken()  # type: ignore[assignment]
    mail.tell(Happening.FAILED)
    await mail.alerter.turn()
    mail.fake.answers["/hook/secret-part"] = (200, {})
    mail.alerter = mail.make()
    await mail.pass_time(60)
    assert len(mail.got) == 1
    mail.alerter = mail.make()
    await mail.pass_time(5 * HOUR)
    assert [alert["reminder"] for alert in mail.got] == [False, True], "and so do open problems"


class _Broken:
    async def post(self, *args: object, **options: object) -> object:
        raise OSError(5, "broken")


async def test_the_outbox_is_bounded(mail: Mail) -> None:
    mail.fake.answers["/hook/secret-part"] = (500, {})
    for _ in range(OUTBOX_LIMIT + 50):
        mail.tell(Happening.SETTLED)
        mail.alerter._pack()
    assert mail.alerter.waiting == OUTBOX_LIMIT


@pytest.mark.parametrize("content", ["", "nonsense", "http://", "http://127.0.0.1:1/secret-part"])
async def test_no_fault_tells_the_secret_address(
    mail: Mail, content: str, log_lines: LogLines
) -> None:
    mail.file.write_text(content)
    mail.tell(Happening.FAILED)
    await mail.alerter.turn()
    line = log_lines()[-1]
    assert line["message"] == "alert message not delivered"
    assert "secret-part" not in json.dumps(line)


def test_slack_text_is_escaped() -> None:
    body = render(WebhookFormat.SLACK, "dev", [_alert("<!channel> a & b")], None)
    assert body == {"text": "[dev] 🔴 phi failed: &lt;!channel&gt; a &amp; b"}


def test_discord_mentions_nobody_and_stays_within_its_limit() -> None:
    alerts = [_alert("@everyone " + "x" * 1000) for _ in range(50)]
    body = render(WebhookFormat.DISCORD, "dev", alerts, HttpUrl("https://status.example.com/"))
    assert body["allowed_mentions"] == {"parse": []}
    assert len(str(body["content"])) <= 2000


def test_a_storm_is_shortened_for_people_and_complete_for_programs() -> None:
    alerts = [_alert("x") for _ in range(50)]
    text = str(render(WebhookFormat.SLACK, "dev", alerts, None)["text"])
    assert "… and 30 more" in text
    plain = render(WebhookFormat.GENERIC, "dev", alerts, None)
    assert len(plain["alerts"]) == 50  # type: ignore[arg-type]


def _alert(reason: str) -> Alert:
    return Alert(Happening.FAILED, "phi", reason, 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
