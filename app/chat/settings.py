"""Settings of the gateway: the file gateway.json, and the secret files.

What a stack can set is checked before that, at `pulumi preview`, by components/config/gateway.py:
the defaults and bounds of both must be the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator

from app.shared.settings_file import SettingsError, Strict, parse_settings, read_settings
from app.shared.watched_file import Contents, content_at, contents_of, watched_file

DEFAULT_CONFIG = Path("/run/config/gateway.json")
DEFAULT_SECRETS = Path("/run/secrets")
DEFAULT_USAGE = Path("/var/lib/chat/usage.sqlite")
API_KEYS = "api_keys.json"

AUTO_MODEL = "auto"

MODEL_ID = r"^[A-Za-z0-9/@][A-Za-z0-9._:/@+-]{0,127}$"
ModelId = Annotated[str, StringConstraints(pattern=MODEL_ID)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
Origin = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://(\*|(\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"
        r"(:(\*|\d{1,5}))?)$"
    ),
]
HostPattern = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:\d{1,5})?)$"),
]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[^\s?#]*$")]
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ListLocation = Annotated[str, StringConstraints(pattern=r"^(/[^\s?#]+|http://[^\s?#]+)$")]
TeamName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Audience = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]

# What an Authorization header can hold.
_HEADER_TEXT = re.compile(r"[!-~]+")


class ModelTask(StrEnum):
    """What a model is for, which decides the endpoints that it answers."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
    IMAGE = "image"


class UnknownFields(StrEnum):
    """What the gateway does with fields of a request that it does not know."""

    REFUSE = "refuse"
    PASS = "pass"


TEXT_TASKS = (ModelTask.CHAT, ModelTask.COMPLETION)


class Placeholder(Strict):
    """The model that answers in place of the configured one, and the reason."""

    model: str
    reason: str


def _refuse_auto(name: str) -> str:
    if name == AUTO_MODEL:
        raise ValueError("'auto' is reserved: clients send it to let the gateway choose")
    return name


def _distinct_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(urls)) != len(urls):
        raise ValueError("the same replica is listed twice")
    return tuple(url.rstrip("/") for url in urls)


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
    tasks: tuple[ModelTask, ...] = Field(default=TEXT_TASKS, min_length=1)
    sleeps: bool = Field(default=False, description="gives its memory back while it is idle")

    @field_validator("id")
    @classmethod
    def _not_auto(cls, value: str) -> str:
        return _refuse_auto(value)

    @field_validator("replicas")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct_urls(value)


class RoutedModel(Strict):
    """A model of a router."""

    id: ModelId
    description: str = ""
    context: int | None = Field(default=None, ge=1, description="tokens per slot")
    slots: int = Field(default=1, ge=1, le=1024, description="parallel requests")
    placeholder: Placeholder | None = None
    tasks: tuple[ModelTask, ...] = Field(default=TEXT_TASKS, min_length=1)

    @field_validator("id")
    @classmethod
    def _not_auto(cls, value: str) -> str:
        return _refuse_auto(value)


class RouterSettings(Strict):
    """A llama-server in router mode: it has some of its models in memory at once."""

    name: KeyName
    urls: tuple[HttpUrl, ...] = Field(min_length=1)
    status_port: int | None = Field(
        default=None, ge=1, le=65535, description="where it reports whether it is draining"
    )
    max_loaded: int = Field(ge=1, le=64, description="models in memory at once")
    models: tuple[RoutedModel, ...] = Field(min_length=1)

    @field_validator("urls")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct_urls(value)


class ServerSettings(Strict):
    """A server with an OpenAI-compatible API, and the models that it offers."""

    name: KeyName
    description: str = ""
    urls: tuple[HttpUrl, ...] = Field(min_length=1)
    path: UrlPath = Field(default="/v1", description="of the API, below each URL")
    models: tuple[ModelId, ...] | None = Field(
        default=None, description="None: those that the server lists"
    )
    api_key_file: FileName | None = Field(default=None, description="in the secrets folder")
    concurrency: int = Field(default=8, ge=1, le=1024, description="requests at once, per URL")
    tasks: tuple[ModelTask, ...] = Field(default=(ModelTask.CHAT,), min_length=1)
    health: UrlPath | None = Field(
        default=None, description="of the health check; None: the list of models"
    )
    external: bool = Field(default=False, description="outside of the stack's network")

    @field_validator("models")
    @classmethod
    def _is_a_list_of_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise ValueError("is empty; leave it out to use the models that the server lists")
        for name in value or ():
            _refuse_auto(name)
        return value if value is None else tuple(dict.fromkeys(value))

    @field_validator("urls")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct_urls(value)


class Limits(Strict):
    """Sizes in bytes and times in seconds; a request over a limit gets an OpenAI error."""

    body_bytes: int = Field(default=8 * 2**20, ge=1024)
    body_values: int = Field(default=200_000, ge=100, description="JSON values in one request")
    body_seconds: float = Field(default=30, gt=0, description="for the client to send its request")
    head_bytes: int = Field(
        default=16 * 2**10, ge=4096, description="of the request line and the headers"
    )
    head_seconds: float = Field(default=10, gt=0, description="for the client to send its headers")
    connections: int = Field(default=2048, ge=1, description="connections of clients at once")
    open_requests: int = Field(default=1024, ge=1, description="API requests at once")
    all_bodies_bytes: int = Field(default=96 * 2**20, ge=1024, description="all requests at once")
    answer_bytes: int = Field(
        default=16 * 2**20, ge=1024, description="of one answer that is not streamed"
    )
    all_answers_bytes: int = Field(
        default=64 * 2**20, ge=1024, description="of all such answers at once"
    )
    queue: int = Field(default=64, ge=0, description="requests that may wait, per model")
    queue_seconds: float = Field(default=120, gt=0, description="longest wait in a queue")
    connect_seconds: float = Field(default=10, gt=0)
    first_token_seconds: float = Field(default=900, gt=0, description="a long prompt on a slow CPU")
    load_seconds: float = Field(
        default=600, gt=0, description="more until the first token, if the model is loaded for it"
    )
    silence_seconds: float = Field(default=120, gt=0, description="between two chunks")
    client_seconds: float = Field(
        default=30, gt=0, description="for a client to read what was written, else it is dropped"
    )
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
    keep_models: float = Field(
        default=300, gt=0, description="models that a server listed stay listed while it is down"
    )


class ModelLists(Strict):
    """The models that the gateway offers, and the servers that have them.

    The content of models.json, which is read anew while the gateway runs.
    """

    models: tuple[ModelSettings, ...] = ()
    routers: tuple[RouterSettings, ...] = ()
    servers: tuple[ServerSettings, ...] = ()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        for kind, names in (
            (
                "model",
                [
                    *(model.id for model in self.models),
                    *(model.id for router in self.routers for model in router.models),
                ],
            ),
            ("server", [*(one.name for one in self.routers), *(one.name for one in self.servers)]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"the {kind} '{name}' is listed twice")
        return self


class StatusPage(Strict):
    """Where people open the monitor's page: its public URL, and its port on the stack's machine."""

    url: HttpUrl | None = None
    port: int | None = Field(default=None, ge=1, le=65535)


class CallerLimits(Strict):
    """What one caller may use; None: no limit."""

    models: tuple[ModelId, ...] | None = Field(default=None, description="None: all models")
    rpm: int | None = Field(default=None, ge=1, description="requests per minute")
    concurrency: int | None = Field(default=None, ge=1, description="requests at once")
    tokens_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1, description="from 0:00 UTC")
    priority: int = Field(
        default=1, ge=1, le=100, description="its share in relation to other callers"
    )


class AccessApplications(Strict):
    """Whose signed identities are callers: the content of access.json."""

    team: TeamName = Field(description="<team>.cloudflareaccess.com")
    audiences: tuple[Audience, ...] = Field(
        min_length=1, description="AUD tags of the applications"
    )

    @property
    def issuer(self) -> str:
        return f"https://{self.team}.cloudflareaccess.com"

    @property
    def keys_url(self) -> str:
        return f"{self.issuer}/cdn-cgi/access/certs"


class AccessSettings(CallerLimits):
    """The Cloudflare Access applications in front of the gateway, and the limits of each person."""

    applications: ListLocation | None = Field(
        default=None, description="file or URL of access.json, instead of team and audiences here"
    )
    team: TeamName | None = Field(default=None, description="<team>.cloudflareaccess.com")
    audiences: tuple[Audience, ...] = Field(default=(), description="AUD tags of the applications")
    log_emails: bool = Field(default=False, description="otherwise the log has pseudonyms")

    @model_validator(mode="after")
    def _has_applications(self) -> Self:
        if self.applications is None and (self.team is None or not self.audiences):
            raise ValueError("needs team and audiences, or applications")
        return self

    @property
    def known_applications(self) -> AccessApplications:
        """Those that are here; `with_applications` adds those of a file."""
        assert self.team is not None
        return AccessApplications(team=self.team, audiences=self.audiences)


class GatewaySettings(ModelLists):
    """The content of gateway.json; every key has a default."""

    model_list: ListLocation | None = Field(
        default=None,
        description="file or URL of models.json, instead of the models, routers and servers here",
    )
    requires_keys: bool = Field(
        default=False, description="the gateway does not start without api_keys.json"
    )
    limits: Limits = Limits()
    keep_alive: KeepAlive = KeepAlive()
    breaker: Breaker = Breaker()
    health: HealthChecks = HealthChecks()
    unknown_fields: UnknownFields = Field(
        default=UnknownFields.REFUSE, description="fields of requests that it does not know"
    )
    hosts: tuple[HostPattern, ...] = Field(
        default=(), description="host names of the gateway, such as that of a reverse proxy"
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="sites whose pages may call the API"
    )
    status_page: StatusPage | None = Field(default=None, description="which the page links to")
    access: AccessSettings | None = Field(
        default=None, description="identities of Cloudflare Access are callers"
    )
    drain_seconds: float = Field(
        default=20, ge=0, description="at shutdown, for running requests to finish"
    )

    @model_validator(mode="after")
    def _has_one_list(self) -> Self:
        if self.model_list and (self.models or self.routers or self.servers):
            raise ValueError(
                "model_list: the models, routers and servers are in that file; remove them here"
            )
        return self

    def with_lists(self, lists: ModelLists) -> Self:
        """These settings with the models of a list."""
        return self.model_copy(update={name: getattr(lists, name) for name in _LISTS})

    def with_applications(self, found: AccessApplications) -> Self:
        """These settings with the Access applications of a file."""
        assert self.access is not None
        access = self.access.model_copy(
            update={"team": found.team, "audiences": found.audiences, "applications": None}
        )
        return self.model_copy(update={"access": access})


_LISTS = tuple(ModelLists.model_fields)


class KeyRecord(CallerLimits):
    """One API key: its limits, and its SHA-256 (never the key itself)."""

    name: KeyName
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    expires: AwareDatetime | None = Field(default=None, description="RFC 3339 with a time zone")


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
    upstream_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """API keys of servers by the name of their file."""


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


def load_secrets(settings: GatewaySettings, environ: Mapping[str, str] = os.environ) -> Secrets:
    """Read the secret files in /run/secrets, or in the folder that SECRETS_DIR names.

    An invalid key file is an error: the gateway must not start without authentication by mistake.
    Raises SettingsError.
    """
    folder = Path(environ.get("SECRETS_DIR", DEFAULT_SECRETS))
    return Secrets(
        api_keys=_read_api_keys(folder / API_KEYS, required=settings.requires_keys),
        upstream_keys=upstream_keys(settings, folder, contents_of(folder.glob("*"))),
    )


def usage_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The SQLite file for usage, in its default place or that of USAGE_FILE.

    None without the default folder, as in a gateway that was started by hand.
    Raises SettingsError if USAGE_FILE is in a folder that does not exist.
    """
    path = Path(environ.get("USAGE_FILE", DEFAULT_USAGE))
    if path.parent.is_dir():
        return path
    if "USAGE_FILE" in environ:
        raise SettingsError(f"{path}: USAGE_FILE names this file, but its folder does not exist")
    return None


def _read_api_keys(path: Path, *, required: bool) -> KeyFile | None:
    """A required file may be missing for a moment while it is replaced."""
    if not required:
        return read_settings(path, KeyFile, secret=True) if path.exists() else None

    def parse(content: bytes) -> KeyFile:
        return parse_settings(content, KeyFile, str(path), secret=True)

    return watched_file(path, parse).first()


def upstream_keys(lists: ModelLists, folder: Path, contents: Contents) -> dict[str, str]:
    """The servers' API keys, from the contents of the secrets folder; raises SettingsError."""
    names = {server.api_key_file for server in lists.servers if server.api_key_file}
    return {name: _key(folder / name, contents) for name in sorted(names)}


def _key(path: Path, contents: Contents) -> str:
    try:
        key = content_at(contents, path).decode("utf-8").strip()
    except (SettingsError, UnicodeDecodeError):
        raise SettingsError(f"{path}: the API key of a server cannot be read") from None
    if not _HEADER_TEXT.fullmatch(key):
        raise SettingsError(
            f"{path}: is not a valid API key; allowed: one line of ASCII without spaces"
        )
    return key
