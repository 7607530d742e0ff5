"""The secrets of a stack: encrypted values of `Pulumi.<stack>.yaml`, and their problems."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi.runtime.config import is_config_secret

from components.config.alerts import HEARTBEAT_KEY, WEBHOOK_PREFIX, Webhook
from components.config.problems import Problem, Source, choices
from components.config.stack_settings import PROJECT, RENAMED_SECRETS
from components.config.tunnels import is_tunnel_token

SECRET_KEYS = ("hfToken", "apiKeys", "registryPassword", HEARTBEAT_KEY)
# One key with a map: the secrets of the services by name.
NAMED_SECRETS = "secrets"
# Key prefix for the token of an existing tunnel: `cloudflareTunnelToken-<service>`.
TUNNEL_TOKEN_PREFIX = "cloudflareTunnelToken-"
CLOUDFLARE_TOKEN = "cloudflare:apiToken"


@dataclass(frozen=True)
class StackSecrets:
    """Values that Pulumi keeps encrypted; None where the stack has none."""

    hf_token: pulumi.Output[str] | None = None
    api_keys: pulumi.Output[str] | None = None
    """Content of the gateway's api_keys.json."""
    registry_password: pulumi.Output[str] | None = None
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    """By name: who gets an alert when a service fails."""
    heartbeat_url: pulumi.Output[str] | None = None
    """Requested every minute while the monitor works, for a service elsewhere that misses it."""
    named: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """The secrets of `llm-stack:secrets`, for services."""
    tunnel_tokens: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """By service: tokens of tunnels that were made elsewhere."""
    cloudflare_account: bool = False
    """Whether the Cloudflare provider has credentials."""


def is_secret(key: str) -> bool:
    """Whether a key of the stack must be encrypted."""
    return key in (*SECRET_KEYS, NAMED_SECRETS) or key.startswith(
        (TUNNEL_TOKEN_PREFIX, WEBHOOK_PREFIX)
    )


def stack_secrets(
    keys: list[str],
    names: Iterable[str],
    webhooks: Mapping[str, Webhook],
    everything: Mapping[str, str],
) -> StackSecrets:
    """The secrets of the stack.

    :param keys: those of the stack that are secrets.
    :param names: those of the secrets under `llm-stack:secrets`.
    :param everything: all configuration, that of providers included.
    """
    config = pulumi.Config(PROJECT)
    return StackSecrets(
        hf_token=config.get_secret("hfToken"),
        api_keys=config.get_secret("apiKeys"),
        registry_password=config.get_secret("registryPassword"),
        webhooks=webhooks,
        heartbeat_url=config.get_secret(HEARTBEAT_KEY),
        named={name: _named_secret(config, name) for name in names},
        tunnel_tokens={
            key.removeprefix(TUNNEL_TOKEN_PREFIX): config.require_secret(key)
            for key in keys
            if key.startswith(TUNNEL_TOKEN_PREFIX)
        },
        cloudflare_account=bool(
            {"cloudflare:apiToken", "cloudflare:apiKey"} & everything.keys()
            or {"CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"} & os.environ.keys()
        ),
    )


def _named_secret(config: pulumi.Config, name: str) -> pulumi.Output[str]:
    every = config.require_secret_object(NAMED_SECRETS)
    return every.apply(lambda values: str(values[name]))


def named_secrets(text: str | None, source: Source) -> tuple[tuple[str, ...], list[Problem]]:
    """The names under `llm-stack:secrets`, and the problems there; no value is shown.

    :param text: the value of the key, decrypted.
    """
    if text is None:
        return (), []
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        problem = source.problem((NAMED_SECRETS,), "is not a map of secrets", run=_set_command())
        return (), [problem]
    problems = [*_named_secret_problems(values, source)]
    return tuple(str(name) for name in values), problems


def _named_secret_problems(values: Mapping[str, object], source: Source) -> Iterator[Problem]:
    # A map with one encrypted value counts as encrypted: the file shows which are not.
    stored = source.document.content if source.document else None
    config = stored.get("config") if isinstance(stored, dict) else None
    entries = config.get(f"{PROJECT}:{NAMED_SECRETS}") if isinstance(config, dict) else None
    encrypted = is_config_secret(f"{PROJECT}:{NAMED_SECRETS}")
    for name, value in values.items():
        entry = entries.get(name) if isinstance(entries, dict) else None
        if not encrypted or not (entry is None or isinstance(entry, dict)):
            text = "is stored in plain text; revoke it at its issuer"
            yield source.problem((NAMED_SECRETS, name), text, run=_set_command(name))
        if not isinstance(value, str) or not value:
            yield source.problem((NAMED_SECRETS, name), "is not a text", run=_set_command(name))


def _set_command(name: str = "<name>") -> str:
    return f"pulumi config set --secret --path {PROJECT}:{NAMED_SECRETS}.{name}"


def plain_text_problems(
    secrets: Mapping[str, str], everything: Mapping[str, str], source: Source
) -> Iterator[Problem]:
    """Secrets that are not encrypted, and so have been where others can read them."""
    text = "is stored in plain text; revoke it at its issuer"
    for key in secrets:
        if key != NAMED_SECRETS and not is_config_secret(f"{PROJECT}:{key}"):
            yield source.problem((key,), text, run=f"pulumi config set --secret {key}")
    if CLOUDFLARE_TOKEN in everything and not is_config_secret(CLOUDFLARE_TOKEN):
        cloudflare = Source(source.name, "", source.document, source.root)
        yield cloudflare.problem(
            (CLOUDFLARE_TOKEN,), text, run=f"pulumi config set --secret {CLOUDFLARE_TOKEN}"
        )


def encryption_problems(keys: set[str], source: Source) -> Iterator[Problem]:
    """Encrypted keys that are not secrets of this project, such as a misspelled one."""
    known = [
        *SECRET_KEYS,
        f"{NAMED_SECRETS}.<name>",
        f"{TUNNEL_TOKEN_PREFIX}<service>",
        f"{WEBHOOK_PREFIX}<name>",
    ]
    for key in sorted(keys & RENAMED_SECRETS.keys()):
        now, run = RENAMED_SECRETS[key]
        yield source.problem((key,), f"is now {now}", run=run)
    for key in sorted(keys - RENAMED_SECRETS.keys()):
        yield source.problem(
            (key,),
            "is encrypted, but is not a secret of this project",
            allowed=choices(key, known),
            run=f"pulumi config rm {key}",
        )


def tunnel_token_problems(secrets: Mapping[str, str], source: Source) -> Iterator[Problem]:
    """A whole command pasted in place of its token is a common slip; the value is not shown."""
    for key, value in secrets.items():
        if key.startswith(TUNNEL_TOKEN_PREFIX) and not is_tunnel_token(value):
            yield source.problem(
                (key,),
                "is not a valid tunnel token",
                allowed="allowed: the text that Cloudflare shows after `--token`, beginning with "
                "eyJ",
                run=f"pulumi config set --secret {key}",
            )
