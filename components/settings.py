"""A stack's settings: what `Pulumi.<stack>.yaml` says under `llm-stack:`, checked and typed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from .catalog import ModelName, Name, Port
from .schema import SettingsError, StrictModel, choices, validate

PROJECT = "llm-stack"
SECRET_KEYS = ("hfToken",)


class CamelModel(StrictModel):
    """Settings under Pulumi's own spelling of keys."""

    model_config = ConfigDict(alias_generator=to_camel)


class BaseImages(CamelModel):
    """What the images are built on; a reference with a digest pins it."""

    python: str = "python:3.11-slim"
    ubuntu: str = "ubuntu:24.04"


class MonitorSettings(CamelModel):
    """How the monitor watches."""

    interval: int = Field(default=30, ge=1, le=3600, description="seconds between two checks")


class StackSettings(CamelModel):
    """Everything that is not secret."""

    services: tuple[Name, ...] | Literal["all"]
    host_ports: dict[Name, Port] = Field(default_factory=dict)
    stand_in_model: ModelName | None = None
    base_images: BaseImages = BaseImages()
    monitor: MonitorSettings = MonitorSettings()


@dataclass(frozen=True)
class StackSecrets:
    """Values that Pulumi keeps encrypted; None where the stack has none."""

    hf_token: pulumi.Output[str] | None = None


def load_settings(stack: str) -> tuple[StackSettings, StackSecrets]:
    """Read the settings that the engine handed to this program; raises `SettingsError`."""
    source = f"Pulumi.{stack}.yaml"
    values = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in {**get_config_env(), **CONFIG.get()}.items()
        if key.startswith(f"{PROJECT}:")
    }
    _ensure_secrets_are_encrypted(values, source)
    plain = {key: _decode(value) for key, value in values.items() if key not in SECRET_KEYS}
    _ensure_nothing_else_is_encrypted(plain, source)
    settings = validate(StackSettings, plain, source, prefix=f"{PROJECT}:")
    config = pulumi.Config(PROJECT)
    return settings, StackSecrets(hf_token=config.get_secret("hfToken"))


def _ensure_secrets_are_encrypted(values: dict[str, str], source: str) -> None:
    problems = [
        f"{source}: {PROJECT}:{key}: is stored in clear; "
        f"take it back where it came from, then run: pulumi config set --secret {key}"
        for key in SECRET_KEYS
        if key in values and not is_config_secret(f"{PROJECT}:{key}")
    ]
    if problems:
        raise SettingsError(problems)


def _ensure_nothing_else_is_encrypted(values: dict[str, Any], source: str) -> None:
    problems = [
        f"{source}: {PROJECT}:{key}: is encrypted, but no such secret is known; "
        f"{choices(key, SECRET_KEYS)}"
        for key in values
        if is_config_secret(f"{PROJECT}:{key}")
    ]
    if problems:
        raise SettingsError(problems)


def _decode(value: str) -> object:
    """The engine hands lists and maps over as JSON text, all else as plain text."""
    if value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
