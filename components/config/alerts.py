"""Where alerts are sent: webhooks, whose URLs are secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import pulumi

from components.config.problems import Problem, Source, choices

# Key prefix for a webhook's URL: `alertWebhook-<name>`.
WEBHOOK_PREFIX = "alertWebhook-"
HEARTBEAT_KEY = "heartbeatUrl"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class WebhookFormat(StrEnum):
    """Whose message format a webhook takes; those of app/monitor/settings.py."""

    SLACK = "slack"
    DISCORD = "discord"
    GENERIC = "generic"


# Other programs take one of these formats at other hosts, as Mattermost does Slack's.
_HOSTS = {
    "hooks.slack.com": WebhookFormat.SLACK,
    "discord.com": WebhookFormat.DISCORD,
    "discordapp.com": WebhookFormat.DISCORD,
    "ptb.discord.com": WebhookFormat.DISCORD,
    "canary.discord.com": WebhookFormat.DISCORD,
}


@dataclass(frozen=True)
class Webhook:
    """A place that alerts are sent to."""

    format: WebhookFormat
    url: pulumi.Output[str]


def alert_problems(
    urls: Mapping[str, str],
    heartbeat: str | None,
    formats: Mapping[str, WebhookFormat],
    source: Source,
) -> Iterator[Problem]:
    """What is wrong with the webhooks and the heartbeat; no URL is shown."""
    for name, url in urls.items():
        key = f"{WEBHOOK_PREFIX}{name}"
        if not _NAME.fullmatch(name):
            yield source.problem(
                (key,),
                "does not end in a valid name",
                allowed="allowed: 1 to 32 of a-z, 0-9 and -, not - first",
                run=f"pulumi config rm {key}",
            )
        if not is_web_url(url):
            yield _not_a_url(key, source)
    if heartbeat is not None and not is_web_url(heartbeat):
        yield _not_a_url(HEARTBEAT_KEY, source)
    for name in formats:
        if name not in urls:
            yield source.problem(
                ("monitor", "alerts", "formats", name),
                f"there is no secret {WEBHOOK_PREFIX}{name}",
                allowed=choices(name, urls),
            )


def _not_a_url(key: str, source: Source) -> Problem:
    return source.problem(
        (key,),
        "is not a valid URL",
        allowed="allowed: https://…",
        run=f"pulumi config set --secret {key}",
    )


def make_webhooks(
    urls: Mapping[str, str], formats: Mapping[str, WebhookFormat]
) -> dict[str, Webhook]:
    """The webhooks by name."""
    return {
        name: Webhook(
            formats.get(name) or _HOSTS.get(urlsplit(url).hostname or "", WebhookFormat.GENERIC),
            pulumi.Output.secret(url),
        )
        for name, url in urls.items()
    }


def is_web_url(value: object) -> bool:
    """Whether it can be requested by HTTP."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return bool(parts and parts.scheme in {"http", "https"} and parts.hostname)
