"""What the gateway is told at start: its configuration file and the secret files beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

DEFAULT_CONFIG = Path("/run/config/gateway.json")
DEFAULT_SECRETS = Path("/run/secrets")
DEFAULT_WEB_ROOT = Path("/opt/app/chat/web/dist")

AUTO_MODEL = "auto"

ModelId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")]
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class SettingsError(Exception):
    """The configuration cannot be used; the message is meant for the person who wrote it."""


class Strict(BaseModel):
    """Base of everything that is read from a file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Placeholder(Strict):
    """Says that another model answers under this name, and why."""

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
        default=None, ge=1, le=65535, description="where a replica tells whether it is draining"
    )
    placeholder: Placeholder | None = None

    @field_validator("id")
    @classmethod
    def _not_auto(cls, value: str) -> str:
        if value == AUTO_MODEL:
            raise ValueError("'auto' is the name by which clients let the gateway choose")
        return value

    @field_validator("replicas")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("the same replica is listed twice")
        return tuple(url.rstrip("/") for url in value)


class GitHubModels(Strict):
    """GitHub Models as one more upstream; used only when its token file is there."""

    url: HttpUrl = "https://models.github.ai/inference"
    models: tuple[ModelId, ...] = ("openai/gpt-4.1-mini",)
    concurrency: int = Field(default=2, ge=1, le=256, description="requests at once, per model")


class Limits(Strict):
    """Sizes in bytes and times in seconds; every one of them ends in a proper OpenAI error."""

    body_bytes: int = Field(default=8 * 2**20, ge=1024)
    body_seconds: float = Field(default=30, gt=0, description="for the client to send its request")
    open_requests: int = Field(
        default=1024, ge=1, description="API requests in the process at once"
    )
    all_bodies_bytes: int = Field(default=96 * 2**20, ge=1024, description="held at once")
    queue: int = Field(default=64, ge=0, description="requests that may wait, per model")
    queue_seconds: float = Field(default=120, gt=0, description="longest wait in a queue")
    connect_seconds: float = Field(default=10, gt=0)
    first_token_seconds: float = Field(default=900, gt=0, description="a long prompt on a slow CPU")
    silence_seconds: float = Field(default=120, gt=0, description="between two pieces of an answer")
    request_seconds: float = Field(
        default=1800, gt=0, description="a whole request, queue included"
    )
    attempts: int = Field(
        default=3, ge=1, le=10, description="replicas tried before the first token"
    )


class KeepAlive(Strict):
    """How a waiting client is told that its request lives; seconds."""

    first_comment: float = Field(default=1, gt=0, description="streams: headers and first comment")
    first_space: float = Field(default=10, gt=0, description="whole answers: headers, white space")
    interval: float = Field(default=15, gt=0, le=90, description="then at least this often")


class Breaker(Strict):
    """When a failing replica is left alone, and for how long."""

    failures: int = Field(default=3, ge=1, description="in a row")
    cool_down_seconds: float = Field(default=10, gt=0, description="doubles up to the longest")
    longest_cool_down_seconds: float = Field(default=120, gt=0)


class HealthChecks(Strict):
    """How often replicas are asked whether they can answer; seconds."""

    interval: float = Field(default=5, gt=0)
    interval_when_down: float = Field(default=1, gt=0)
    timeout: float = Field(default=3, gt=0)
    failures: int = Field(default=3, ge=1, description="in a row, until a replica counts as down")
    names_interval: float = Field(default=1, gt=0, description="between two looks for addresses")
    draining_interval: float = Field(default=1, gt=0, description="whether a replica is leaving")


class GatewaySettings(Strict):
    """The content of gateway.json; everything but the models has a default."""

    models: tuple[ModelSettings, ...] = ()
    github_models: GitHubModels = GitHubModels()
    limits: Limits = Limits()
    keep_alive: KeepAlive = KeepAlive()
    breaker: Breaker = Breaker()
    health: HealthChecks = HealthChecks()
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="sites allowed to call the API"
    )
    web_root: Path = DEFAULT_WEB_ROOT
    farewell_seconds: float = Field(
        default=2, ge=0, le=60, description="at shutdown, for clients to let go of connections"
    )
    drain_seconds: float = Field(default=20, ge=0, description="then, for running answers")

    @model_validator(mode="after")
    def _names_are_distinct(self) -> GatewaySettings:
        seen: set[str] = set()
        for name in (*(model.id for model in self.models), *self.github_models.models):
            if name in seen:
                raise ValueError(f"the model '{name}' is listed twice")
            seen.add(name)
        return self


class KeyRecord(Strict):
    """One API key: what it may do, and the SHA-256 of the key itself (never the key)."""

    name: KeyName
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    models: tuple[ModelId, ...] | None = Field(default=None, description="none given: all of them")
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
    """What the secret files hold. Absent files are None; the values never appear in a repr."""

    api_keys: KeyFile | None = field(default=None, repr=False)
    github_token: str | None = field(default=None, repr=False)


def load_settings(environ: Mapping[str, str] = os.environ) -> GatewaySettings:
    """Read gateway.json (GATEWAY_CONFIG names another path); without the file: no model at all.

    Raises SettingsError, naming the file, the key, what was found and what is allowed.
    """
    path = Path(environ.get("GATEWAY_CONFIG", DEFAULT_CONFIG))
    if not path.exists():
        if "GATEWAY_CONFIG" in environ:
            raise SettingsError(f"{path}: GATEWAY_CONFIG names this file, but it does not exist")
        return GatewaySettings()
    return _parse(path, GatewaySettings)


def load_secrets(environ: Mapping[str, str] = os.environ) -> Secrets:
    """Read the optional secret files (SECRETS_DIR names another folder).

    A key file that is there but unusable is an error: a gateway that was meant to be locked must
    not start open.
    """
    folder = Path(environ.get("SECRETS_DIR", DEFAULT_SECRETS))
    keys = folder / "api_keys.json"
    token = folder / "gh_models_token"
    return Secrets(
        api_keys=_parse(keys, KeyFile) if keys.exists() else None,
        github_token=(_read(token).strip() or None) if token.exists() else None,
    )


Parsed = TypeVar("Parsed", bound=Strict)


def _parse(path: Path, model: type[Parsed]) -> Parsed:
    try:
        content = json.loads(_read(path))
    except ValueError as error:
        raise SettingsError(f"{path}: not JSON: {error}") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        reveal = model is not KeyFile
        raise SettingsError("\n".join(_complaints(path, model, error, reveal=reveal))) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None


def _complaints(
    path: Path, model: type[Strict], error: ValidationError, *, reveal: bool
) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "(the whole file)"
        line = f"{path}: {where}: {problem['msg']}"
        if problem["type"] == "extra_forbidden":
            line += f"; allowed here: {', '.join(_allowed_keys(model, problem['loc']))}"
        elif reveal and not isinstance(problem["input"], dict | list):
            line += f"; found {problem['input']!r}"
        yield line


def _allowed_keys(model: type[Strict], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `location` (whose last part is the refused key) accepts."""
    section: type[BaseModel] = model
    for part in location[:-1]:
        if isinstance(part, str):
            section = _section(section.model_fields[part].annotation) or section
    return sorted(section.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section(inner)
        if found is not None:
            return found
    return None
