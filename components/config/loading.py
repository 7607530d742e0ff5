"""Reads the settings and secrets that Pulumi passes to the program."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from components.config.alerts import HEARTBEAT_KEY, WEBHOOK_PREFIX, alert_problems, make_webhooks
from components.config.files import stack_source
from components.config.problems import Problem, Source
from components.config.schema import Reading, read
from components.config.stack_secrets import (
    NAMED_SECRETS,
    StackSecrets,
    encryption_problems,
    is_secret,
    named_secrets,
    plain_text_problems,
    stack_secrets,
    tunnel_token_problems,
)
from components.config.stack_settings import PROJECT, StackSettings


@dataclass(frozen=True)
class LoadedSettings:
    """The settings and secrets of a stack, as far as they are valid, and their problems."""

    source: Source
    settings: Reading[StackSettings]
    secrets: StackSecrets
    problems: tuple[Problem, ...]


def load_settings(stack: str) -> LoadedSettings:
    """Read the settings that Pulumi passed to this program."""
    source = stack_source(stack, PROJECT)
    everything = {**get_config_env(), **CONFIG.get()}
    values = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in everything.items()
        if key.startswith(f"{PROJECT}:")
    }
    secrets = {key: value for key, value in values.items() if is_secret(key)}
    encrypted = {
        key for key in values.keys() - secrets.keys() if is_config_secret(f"{PROJECT}:{key}")
    }
    plain = {
        key: _decode(value)
        for key, value in values.items()
        if key not in secrets and key not in encrypted
    }
    # Without its services nothing of the rest could be checked.
    settings = read(StackSettings, plain, source, fallback={"services": "all"})
    assert settings.value is not None
    webhooks = {
        key.removeprefix(WEBHOOK_PREFIX): value
        for key, value in secrets.items()
        if key.startswith(WEBHOOK_PREFIX)
    }
    names, secret_problems = named_secrets(secrets.get(NAMED_SECRETS), source)
    formats = settings.value.monitor.alerts.formats
    return LoadedSettings(
        source,
        settings,
        stack_secrets(list(secrets), names, make_webhooks(webhooks, formats), everything),
        (
            *plain_text_problems(secrets, everything, source),
            *encryption_problems(encrypted, source),
            *secret_problems,
            *tunnel_token_problems(secrets, source),
            *settings.problems,
            *alert_problems(webhooks, secrets.get(HEARTBEAT_KEY), formats, source),
        ),
    )


def _decode(value: str) -> Any:
    """Pulumi's engine passes lists and maps as JSON text, all else as plain text."""
    if value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
