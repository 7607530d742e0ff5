"""What the monitor watches and how: models of its configuration file, and of the environment
that stands in for it when a single service is watched."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    UrlConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

DEFAULT_CONFIG = Path("/run/config/monitor.json")
DEFAULT_SERVER_URL = "http://localhost:8080/health"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]
TcpUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["tcp"], host_required=True)]
Scalar = str | int | float | bool | None


class SettingsError(Exception):
    """The configuration cannot be used; the text says where and what is allowed."""


class Kind(StrEnum):
    """What a service is, which decides the questions that are put to it."""

    HTTP = "http"
    TCP = "tcp"
    INFERENCE = "inference"
    CHAT = "chat"
    CONNECTOR = "connector"


class WebhookFormat(StrEnum):
    """Whose message format a webhook takes."""

    SLACK = "slack"
    DISCORD = "discord"
    GENERIC = "generic"


class Strict(BaseModel):
    """Base of every model here: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(Strict):
    """Conditions on the answer of a service.

    `json` maps dotted paths (`status`, `checks.0.state`) to the value that must be there.
    """

    status: tuple[int, ...] = (200,)
    slower_than: Seconds | None = Field(default=None, description="seconds; slower is degraded")
    body_contains: str | None = None
    json_values: dict[str, Scalar] = Field(default_factory=dict, alias="json")


class Judgement(Strict):
    """When a service counts as unhealthy or healthy again. All times are seconds."""

    fail_after: int = Field(default=3, ge=1, le=100, description="failed checks in a row")
    recover_after: int = Field(default=2, ge=1, le=100, description="good checks in a row")
    retry_interval: Seconds = Field(default=5, description="between checks while undecided")
    stall_after: Seconds = Field(default=120, description="busy without a single new token")
    canary_every: Seconds = Field(default=600, description="between one-token tests when idle")
    drain_limit: Seconds = Field(default=300, description="draining longer is a failure")
    flap_changes: int = Field(default=6, ge=2, le=100, description="changes within flap_window")
    flap_window: Seconds = 900


class Restarts(Strict):
    """How restarts are asked for, and how often at most. All times are seconds."""

    enabled: bool = True
    url: HttpUrl = HttpUrl("http://restarter:8070")
    token_file: Path = Path("/run/secrets/restarter_token")
    backoff: Seconds = Field(default=30, description="after the first restart, then doubled")
    backoff_max: Seconds = 900
    jitter: float = Field(default=0.2, ge=0, le=0.9, description="share of the backoff")
    limit: int = Field(default=5, ge=1, le=100, description="restarts within window, then give up")
    window: Seconds = 3600
    stable_after: Seconds = Field(default=600, description="healthy so long resets the backoff")
    hold_retry: Seconds = Field(default=120, description="until a refused restart is asked again")


class Webhook(Strict):
    """A place that alerts are sent to. Its address is a secret, hence a file."""

    name: Name
    format: WebhookFormat = WebhookFormat.GENERIC
    url_file: Path


class Alerts(Strict):
    """Who is told, and how often. All times are seconds."""

    webhooks: tuple[Webhook, ...] = ()
    group_wait: Annotated[float, Field(ge=0, le=600)] = Field(
        default=5, description="alerts within this time share a message"
    )
    remind_every: Seconds = 4 * 3600
    retry_first: Seconds = 2
    retry_max: Seconds = 900
    drop_after: Seconds = Field(default=86_400, description="an undelivered message is dropped")
    page_url: HttpUrl | None = Field(default=None, description="where people open the status page")
    heartbeat_url_file: Path | None = None
    heartbeat_every: Seconds = 60


class Service(Strict):
    """One watched service, or one replica of it.

    `url` is the whole address for kind `http`, `tcp://host:port` for kind `tcp`, and the base
    address for the others, whose paths are known. `service` and `replica` name the container for
    the restarter where they differ from `name`. What is left out here comes from the stack-wide
    settings.
    """

    name: Name
    kind: Kind = Kind.HTTP
    url: HttpUrl | TcpUrl
    service: Name | None = None
    replica: Name | None = None
    depends_on: tuple[Name, ...] = ()
    interval: Seconds | None = None
    timeout: Seconds = 10
    start_grace: Annotated[float, Field(ge=0, le=86_400)] = 60
    expect: Expectation = Expectation()
    judgement: Judgement | None = None
    restart: bool = True
    paused_until: AwareDatetime | None = None

    @model_validator(mode="after")
    def url_fits_the_kind(self) -> Self:
        """Refuse an address that the kind's questions cannot be put to."""
        if (self.kind is Kind.TCP) != (self.url.scheme == "tcp"):
            raise ValueError(f"url: {self.url} does not fit kind {self.kind.value}")
        if self.url.port is None:
            raise ValueError(f"url: {self.url} names no port")
        return self

    @property
    def address(self) -> str:
        """The URL without a closing slash."""
        return str(self.url).rstrip("/")

    @property
    def container(self) -> str:
        """The service label of its container."""
        return self.service or self.name


class Settings(Strict):
    """Everything the monitor is told. All times are seconds."""

    stack: Name
    interval: Seconds = 30
    services: tuple[Service, ...] = Field(min_length=1, max_length=2000)
    judgement: Judgement = Judgement()
    restarts: Restarts = Restarts()
    alerts: Alerts = Alerts()
    paused_until: AwareDatetime | None = None
    detail_every: int = Field(default=10, ge=1, description="checks between two detailed log lines")
    host: str = "0.0.0.0"
    port: int = Field(default=8090, ge=1, le=65535)
    state_dir: Path = Path("/var/lib/monitor")
    admin_socket: Path = Path("/tmp/monitor.sock")
    notes: tuple[str, ...] = Field(default=(), description="said in the log when it starts")

    @field_validator("services")
    @classmethod
    def names_are_unique(cls, services: tuple[Service, ...]) -> tuple[Service, ...]:
        """Refuse two services of one name."""
        seen: set[str] = set()
        for service in services:
            if service.name in seen:
                raise ValueError(f"the name {service.name!r} is used twice")
            seen.add(service.name)
        return services

    @model_validator(mode="after")
    def dependencies_make_sense(self) -> Self:
        """Refuse dependencies on unknown services, and circles of them."""
        known = {service.name: service.depends_on for service in self.services}
        for name, wanted in known.items():
            for other in wanted:
                if other not in known:
                    allowed = ", ".join(sorted(known))
                    raise ValueError(f"{name}: depends_on {other!r} is no service; {allowed} are")
        _refuse_circles(known)
        return self

    def judgement_of(self, service: Service) -> Judgement:
        """The thresholds of a service."""
        return service.judgement or self.judgement

    def interval_of(self, service: Service) -> float:
        """Seconds between two checks of a healthy service."""
        return service.interval or self.interval


def _refuse_circles(edges: Mapping[str, tuple[str, ...]]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError("depends_on runs in a circle: " + " -> ".join((*path, name)))
        if name not in done:
            for other in edges[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file named by `MONITOR_CONFIG` (default /run/config/monitor.json), or where
    there is none, the environment of a monitor for one service.

    Raises SettingsError with one line per fault.
    """
    path = Path(environ.get("MONITOR_CONFIG", DEFAULT_CONFIG))
    if path.exists():
        return _from_file(path)
    if "MONITOR_CONFIG" in environ:
        raise SettingsError(f"MONITOR_CONFIG: no such file: {path}")
    return _from_environment(environ)


def _from_file(path: Path) -> Settings:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON: {error}") from None
    return _validated(data, str(path))


def _from_environment(environ: Mapping[str, str]) -> Settings:
    """`SERVER_URL`, `CHECK_INTERVAL` (seconds), `TUNNEL_ENABLED` and `TUNNEL_METRICS_URL`
    (base address of cloudflared's metrics, e.g. http://cloudflared:20241).

    Restarts are off: without a stack there is no restarter to ask.
    """
    services: list[dict[str, Any]] = [
        {"name": "server", "url": environ.get("SERVER_URL", DEFAULT_SERVER_URL)}
    ]
    notes: list[str] = []
    if _flag("TUNNEL_ENABLED", environ.get("TUNNEL_ENABLED", "true")):
        if tunnel := environ.get("TUNNEL_METRICS_URL"):
            services.append({"name": "tunnel", "kind": Kind.CONNECTOR, "url": tunnel})
        else:
            notes.append(
                "TUNNEL_ENABLED is true, but TUNNEL_METRICS_URL names no connector: "
                "the tunnel is not checked"
            )
    data: dict[str, Any] = {
        "stack": "single",
        "interval": environ.get("CHECK_INTERVAL", "30"),
        "services": services,
        "restarts": {"enabled": False},
        "notes": notes,
    }
    return _validated(data, "environment")


def _flag(key: str, text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return known[text.strip().lower()]
    except KeyError:
        raise SettingsError(f"{key}: found {text!r}, allowed: true, false") from None


def _validated(data: object, source: str) -> Settings:
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise SettingsError("\n".join(_lines(error, source))) from None


def _lines(error: ValidationError, source: str) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in fault["loc"]) or "(whole file)"
        found = "" if isinstance(fault["input"], dict | list) else f", found {fault['input']!r}"
        lines.append(f"{source}: {where}: {fault['msg']}{found}")
    return lines


def paused(until: datetime | None, now: float) -> bool:
    """Whether a pause that ends at `until` is still on at `now` (seconds since the epoch)."""
    return until is not None and now < until.timestamp()
