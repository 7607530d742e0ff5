"""Who is told when a service fails: webhooks, whose addresses are secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import pulumi
from pydantic import Field, HttpUrl

from components.config.schema import CamelModel, choices

# A webhook's address stands under this and a name of one's own.
WEBHOOK_PREFIX = "alertWebhook-"
HEARTBEAT_KEY = "heartbeatUrl"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class WebhookFormat(StrEnum):
    """Whose message format a webhook takes; app/monitor knows the same."""

    SLACK = "slack"
    DISCORD = "discord"
    GENERIC = "generic"


# Others take one of these formats at hosts of their own, as Mattermost does Slack's.
_HOSTS = {
    "hooks.slack.com": WebhookFormat.SLACK,
    "discord.com": WebhookFormat.DISCORD,
    "discordapp.com": WebhookFormat.DISCORD,
    "ptb.discord.com": WebhookFormat.DISCORD,
    "canary.discord.com": WebhookFormat.DISCORD,
}


class AlertSettings(CamelModel):
    """What of the alerts is no secret."""

    formats: dict[str, WebhookFormat] = Field(
        default_factory=dict, description="of webhooks whose host does not tell theirs"
    )
    remind_every: int = Field(
        default=4 * 3600, ge=60, le=30 * 86_400, description="seconds, while a failure lasts"
    )
    page_url: HttpUrl | None = Field(
        default=None, description="where people open the monitor's page, for a link to it"
    )


@dataclass(frozen=True)
class Webhook:
    """A place that alerts are sent to."""

    format: WebhookFormat
    url: pulumi.Output[str]


def webhook_problems(
    addresses: Mapping[str, str], formats: Mapping[str, WebhookFormat]
) -> list[str]:
    """What is wrong with the webhooks, in words that tell no address."""
    problems = [
        f"{WEBHOOK_PREFIX}{name}: is no name; allowed: 1 to 32 of a-z, 0-9 and -, not - first"
        for name in addresses
        if not _NAME.fullmatch(name)
    ]
    problems += [
        f"{WEBHOOK_PREFIX}{name}: is no address on the web; allowed: https://…"
        for name, address in addresses.items()
        if not is_web_address(address)
    ]
    return problems + [
        f"monitor.alerts.formats: there is no such webhook; found {name!r}, "
        f"{choices(name, addresses)}"
        for name in formats
        if name not in addresses
    ]


def make_webhooks(
    addresses: Mapping[str, str], formats: Mapping[str, WebhookFormat]
) -> dict[str, Webhook]:
    """The webhooks by name."""
    return {
        name: Webhook(
            formats.get(name)
            or _HOSTS.get(urlsplit(address).hostname or "", WebhookFormat.GENERIC),
            pulumi.Output.secret(address),
        )
        for name, address in addresses.items()
    }


def is_web_address(value: object) -> bool:
    """Whether it can be asked by HTTP."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return bool(parts and parts.scheme in {"http", "https"} and parts.hostname)
