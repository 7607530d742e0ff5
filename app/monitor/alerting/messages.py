"""Messages of alerts, in the formats of Slack, Discord and a generic webhook.

Sources: Slack, "Sending messages using incoming webhooks" (`text`); Discord, "Execute Webhook"
(`content`, at most 2000 characters; `allowed_mentions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import HttpUrl

from app.monitor.decisions.records import EventType
from app.monitor.renamed_fields import formerly
from app.monitor.settings import WebhookFormat

DISCORD_LIMIT = 2000
SLACK_LIMIT = 4000
LINES_LIMIT = 20

SYMBOLS = {
    EventType.FAILED: "🔴",
    EventType.RECOVERED: "🟢",
    EventType.GAVE_UP: "⛔",
    EventType.FLAPPING: "🟠",
    EventType.SETTLED: "🟢",
    EventType.RESTART_HELD: "🟠",
    EventType.RESTART_FAILED: "🔴",
}
WORDS = {
    EventType.FAILED: "failed",
    EventType.RECOVERED: "recovered",
    EventType.GAVE_UP: "restarts given up",
    EventType.FLAPPING: "is flapping",
    EventType.SETTLED: "stopped flapping",
    EventType.RESTART_HELD: "not restarted",
    EventType.RESTART_FAILED: "could not be restarted",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `opened_at`: start of the problem that a reminder or a recovery is about."""

    type: Annotated[EventType, formerly("type", "happening")]
    service: str
    reason: str
    at: float
    opened_at: float | None = None
    reminder: bool = False

    @property
    def since(self) -> float:
        """When the problem started."""
        return self.at if self.opened_at is None else self.opened_at


def line(alert: Alert) -> str:
    """An alert on one line of text."""
    text = f"{SYMBOLS.get(alert.type, '•')} {alert.service} "
    text += "still: " if alert.reminder else ""
    text += WORDS.get(alert.type, alert.type.value)
    if alert.opened_at is not None:
        text += f" after {duration(alert.at - alert.opened_at)}"
    return f"{text}: {alert.reason}"


def duration(seconds: float) -> str:
    """A duration as text: its two largest units."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def render(
    form: WebhookFormat, stack: str, alerts: Sequence[Alert], page_url: HttpUrl | None
) -> dict[str, object]:
    """The JSON body of a message."""
    if form is WebhookFormat.GENERIC:
        return {"stack": stack, "alerts": [_as_json(alert) for alert in alerts]}
    text = _text(stack, alerts, page_url)
    if form is WebhookFormat.SLACK:
        return {"text": _slack_escape(text)[:SLACK_LIMIT]}
    # Without this a reason that contains "@everyone" would notify everyone.
    return {"content": text[:DISCORD_LIMIT], "allowed_mentions": {"parse": []}}


def _text(stack: str, alerts: Sequence[Alert], page_url: HttpUrl | None) -> str:
    lines = [line(alert)[:300] for alert in alerts[:LINES_LIMIT]]
    if len(alerts) > LINES_LIMIT:
        lines.append(f"… and {len(alerts) - LINES_LIMIT} more")
    if page_url is not None:
        lines.append(str(page_url))
    return "\n".join([f"[{stack}]", *lines] if len(lines) > 1 else [f"[{stack}] {lines[0]}"])


def _slack_escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _as_json(alert: Alert) -> dict[str, object]:
    resolved = alert.type in (EventType.RECOVERED, EventType.SETTLED)
    return {
        "service": alert.service,
        "event": alert.type.value,
        "status": "resolved" if resolved else "firing",
        "reason": alert.reason,
        "at": _timestamp(alert.at),
        "since": _timestamp(alert.since),
        "reminder": alert.reminder,
        "text": line(alert),
    }


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
