"""Settings of the gateway: the file gateway.json, and the secret files.

What a stack can set is checked before that, at `pulumi preview`, by components/config/gateway.py:
the defaults and bounds of both must be the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from app.shared.settings_file import SettingsError, Strict, read_settings

DEFAULT_CONFIG = Path("/run/config/gateway.json")
DEFAULT_SECRETS = Path("/run/secrets")

AUTO_MODEL = "auto"

ModelId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")]
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Placeholder(Strict):
    """The model that answers in place of the configured one, and the reason."""

    model: str
    reason: str


class ModelSettings(Strict):
    """One served model: its name, and the llama-server replicas that run it."""

    id: ModelId
    description: str = ""
    context: int | None = Field(default=None, ge=1, description="tokens per slot")
    slots: int = Field(default=1, ge=1, le=1024, description="parallel requests per replica")
    replicas: tuple[HttpUrl, ...] = Field(min_length=1)
    status_port: int | None = Field(
        default=None, ge=1, le=65535, description="where a replica reports whether it is draining"
    )
    placeholder: Placeholder | None = None

    @field_validator("id")
    @classmethod
    def _not_auto(cls, value: str) -> str:
        if value == AUTO_MODEL:
            raise ValueError("'auto' is reserved: clients send it to let the gateway choose")
        return value

    @field_validator("replicas")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("the same replica is listed twice")
        return tuple(url.rstrip("/") for url in value)


class GitHubModels(Strict):
    """GitHub Models as one more upstream; used only if the secret file gh_models_token exists."""

    url: HttpUrl = "https://models.github.ai/inference"
    models: tuple[ModelId, ...] = ("openai/gpt-4.1-mini",)
    concurrency: int = Field(default=2, ge=1, le=256, description="requests at once, per model")


class Limits(Strict):
    """Sizes in bytes and times in seconds; a request over a limit gets an OpenAI error."""

    body_bytes: int = Field(default=8 * 2**20, ge=1024)
    body_seconds: float = Field(default=30, gt=0, description="for the client to send its request")
    open_requests: int = Field(default=1024, ge=1, description="API requests at once")
    all_bodies_bytes: int = Field(default=96 * 2**20, ge=1024, description="all requests at once")
    queue: int = Field(default=64, ge=0, description="requests that may wait, per model")
    queue_seconds: float = Field(default=120, gt=0, description="longest wait in a queue")
    connect_seconds: float = Field(default=10, gt=0)
    first_token_seconds: float = Field(default=900, gt=0, description="a long prompt on a slow CPU")
    silence_seconds: float = Field(default=120, gt=0, description="between two chunks")
    request_seconds: float = Field(
        default=1800, gt=0, description="a whole request, including the queue"
    )
    attempts: int = Field(default=3, ge=1, le=10, description="attempts before the first token")


class KeepAlive(Strict):
    """When a waiting client gets keep-alive bytes; seconds."""

    first_comment: float = Field(default=1, gt=0, description="streams: headers and first comment")
    first_space: float = Field(default=10, gt=0, description="JSON responses: headers, white space")
    interval: float = Field(default=15, gt=0, le=90, description="then at least this often")


class Breaker(Strict):
    """When a failing replica gets no more requests, and for how long."""

    failures: int = Field(default=3, ge=1, description="in a row")
    cool_down_seconds: float = Field(default=10, gt=0, description="doubles after a failed trial")
    longest_cool_down_seconds: float = Field(default=120, gt=0)


class HealthChecks(Strict):
    """How often the gateway checks the replicas; seconds."""

    interval: float = Field(default=5, gt=0)
    interval_when_down: float = Field(default=1, gt=0)
    timeout: float = Field(default=3, gt=0)
    failures: int = Field(default=3, ge=1, description="in a row, until a replica counts as down")
    names_interval: float = Field(default=1, gt=0, description="between two DNS lookups")
    draining_interval: float = Field(default=1, gt=0, description="between two checks for a drain")


class GatewaySettings(Strict):
    """The content of gateway.json; every key has a default."""

    models: tuple[ModelSettings, ...] = ()
    github_models: GitHubModels = GitHubModels()
    limits: Limits = Limits()
    keep_alive: KeepAlive = KeepAlive()
    breaker: Breaker = Breaker()
    health: HealthChecks = HealthChecks()
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="sites whose pages may call the API"
    )
    drain_seconds: float = Field(
        default=20, ge=0, description="at shutdown, for running requests to finish"
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> GatewaySettings:
        seen: set[str] = set()
        for name in (*(model.id for model in self.models), *self.github_models.models):
            if name in seen:
                raise ValueError(f"the model '{name}' is listed twice")
            seen.add(name)
        return self


class KeyRecord(Strict):
    """One API key: its limits, and its SHA-256 (never the key itself)."""

    name: KeyName
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    models: tuple[ModelId, ...] | None = Field(default=None, description="None: all models")
    rpm: int | None = Field(default=None, ge=1, description="requests per minute")
    concurrency: int | None = Field(default=None, ge=1, description="requests at once")


class KeyFile(Strict):
    """The content of the secret file api_keys.json."""

    keys: tuple[KeyRecord, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> KeyFile:
        for kind in ("name", "sha256"):
            values = [getattr(key, kind) for key in self.keys]
            if len(set(values)) != len(values):
                raise ValueError(f"two keys have the same {kind}")
        return self


@dataclass(frozen=True)
class Secrets:
    """Contents of the secret files; None for an absent file. A repr does not show the values."""

    api_keys: KeyFile | None = field(default=None, repr=False)
    github_token: str | None = field(default=None, repr=False)


def load_settings(environ: Mapping[str, str] = os.environ) -> GatewaySettings:
    """Read gateway.json, or the file that GATEWAY_CONFIG names; without a file, use the defaults.

    Raises SettingsError with all problems of the file.
    """
    path = Path(environ.get("GATEWAY_CONFIG", DEFAULT_CONFIG))
    if not path.exists():
        if "GATEWAY_CONFIG" in environ:
            raise SettingsError(f"{path}: GATEWAY_CONFIG names this file, but it does not exist")
        return GatewaySettings()
    return read_settings(path, GatewaySettings)


def load_secrets(environ: Mapping[str, str] = os.environ) -> Secrets:
    """Read the optional secret files in /run/secrets, or in the folder that SECRETS_DIR names.

    An invalid key file is an error: the gateway must not start without authentication by mistake.
    Raises SettingsError.
    """
    folder = Path(environ.get("SECRETS_DIR", DEFAULT_SECRETS))
    keys = folder / "api_keys.json"
    token = folder / "gh_models_token"
    return Secrets(
        api_keys=read_settings(keys, KeyFile, secret=True) if keys.exists() else None,
        github_token=_read_token(token) if token.exists() else None,
    )


def _read_token(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
