"""Settings of the monitor: the models of monitor.json. All times are seconds.

What a stack can set has the bounds and defaults of components/config/monitor.py; a test compares
the two. The rest is written by the deployment, or by tests (`internal`).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AnyUrl,
    Field,
    HttpUrl,
    UrlConstraints,
    field_validator,
    model_validator,
)

from app.shared.settings_file import Strict

CHECK_TIMEOUT = 10.0
MOST_SERVICES = 2000

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]
Interval = Annotated[int, Field(ge=1, le=3600)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
TcpUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["tcp"], host_required=True)]
HostPattern = Annotated[
    str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:\d{1,5})?)$")
]
ListLocation = Annotated[str, Field(pattern=r"^(/[^\s?#]+|http://[^\s?#]+)$")]
Scalar = str | int | float | bool | None


class Kind(StrEnum):
    """What a service is, which decides how it is checked."""

    HTTP = "http"
    TCP = "tcp"
    INFERENCE = "inference"
    CHAT = "chat"
    CONNECTOR = "connector"
    PUBLIC = "public"


class WebhookFormat(StrEnum):
    """Message format of a webhook."""

    SLACK = "slack"
    DISCORD = "discord"
    GENERIC = "generic"


class Expectation(Strict):
    """Conditions on the response of a service.

    `json` maps dotted paths (`status`, `checks.0.state`) to the required value.
    """

    status: tuple[HttpStatus, ...] = Field(default=(200,), min_length=1)
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        lt=CHECK_TIMEOUT / 2,
        description="a slower response is reported as degraded",
    )
    body_contains: str | None = Field(default=None, min_length=1)
    json_values: dict[str, Scalar] = Field(default_factory=dict, alias="json")


class Thresholds(Strict):
    """When a service counts as unhealthy, and as healthy again."""

    fail_after: int = Field(default=3, ge=1, le=100, description="failed checks in a row")
    recover_after: int = Field(default=2, ge=1, le=100, description="passed checks in a row")
    retry_interval: Seconds = Field(default=5, description="between checks while undecided")
    stall_after: Seconds = Field(default=120, description="busy without a single new token")
    canary_every: Seconds = Field(default=600, description="between one-token tests when idle")
    drain_limit: Seconds = Field(default=300, description="draining longer is a failure")
    flap_changes: int = Field(default=6, ge=2, le=100, description="changes within flap_window")
    flap_window: Seconds = 900


class RestartSettings(Strict):
    """Where restarts are requested, and how often at most."""

    enabled: bool = True
    url: HttpUrl = HttpUrl("http://restarter:8070")
    backoff: Seconds = Field(default=30, description="after the first restart, then doubled")
    backoff_max: Seconds = 900
    limit: int = Field(default=5, ge=1, le=100, description="restarts within window, then give up")
    window: Seconds = 3600
    stable_after: Seconds = Field(default=600, description="healthy so long resets the backoff")


class Webhook(Strict):
    """A place that alerts are sent to. Its URL is a secret, so it is in a file."""

    name: Name
    format: WebhookFormat = WebhookFormat.GENERIC
    url_file: Path


class AlertSettings(Strict):
    """Where alerts are sent, and how often."""

    webhooks: tuple[Webhook, ...] = ()
    group_wait: Annotated[float, Field(ge=0, le=600)] = Field(
        default=5, description="alerts within this time share a message"
    )
    remind_every: int = Field(
        default=4 * 3600, ge=60, le=30 * 86_400, description="while a failure lasts"
    )
    page_url: HttpUrl | None = Field(default=None, description="where people open the status page")
    heartbeat_url_file: Path | None = None


class ServedModel(Strict):
    """A model of a service. `placeholder`: the name of the model that answers in place of it."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    placeholder: Annotated[str, Field(min_length=1, max_length=128)] | None = None


class ChatAddress(Strict):
    """Where people open the chat page: its public URL, and its port on the stack's machine."""

    url: HttpUrl | None = None
    port: int | None = Field(default=None, ge=1, le=65535)


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


WEEKDAYS = tuple(Weekday)
LONGEST_MAINTENANCE = 72 * 3600.0


def _known_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone, such as Europe/Berlin or UTC") from None
    return name


class MaintenanceWindow(Strict):
    """Regular or single times without alerts and restarts. Checks go on.

    `services` and `days`: all if empty. `date`: once, on this day, instead of `days`.
    """

    services: tuple[Name, ...] = ()
    days: tuple[Weekday, ...] = ()
    date: datetime.date | None = None
    start: datetime.time
    duration: Annotated[float, Field(gt=0, le=LONGEST_MAINTENANCE)]
    time_zone: Annotated[str, AfterValidator(_known_time_zone)] = "UTC"


class PublicAddress(Strict):
    """What is expected of a public address. `quick`: of a quick tunnel, whose connector reports
    its name; the URL of the service is then that of the connector."""

    sign_in: bool = Field(default=False, description="whether Cloudflare Access is in front of it")
    certificate_days: int = Field(
        default=14, ge=0, le=365, description="for which its certificate must still be valid"
    )
    quick: bool = False
    path: Annotated[str, Field(pattern=r"^/[^\s?#]*$")] = "/"


class Service(Strict):
    """One watched service.

    `name` is also its service label, by which the restarter finds its container. `url` is the
    whole URL for kind `http`, `tcp://host:port` for kind `tcp`, and the base URL for the others.
    """

    name: Name
    kind: Kind = Kind.HTTP
    url: HttpUrl | TcpUrl
    depends_on: tuple[Name, ...] = ()
    start_grace: Annotated[float, Field(ge=0, le=86_400)] = 60
    expect: Expectation = Expectation()
    generates: bool = Field(default=True, description="of a model: text, for one-token tests")
    sleeps: bool = Field(
        default=False, description="of a model: it gives its memory back when idle, and is left so"
    )
    routes: bool = Field(
        default=False, description="of a model server: it loads one of several models on demand"
    )
    restart: bool = Field(default=True, description="whether the restarter can restart it")
    public: PublicAddress | None = Field(default=None, description="of kind public")
    models: tuple[ServedModel, ...] = Field(default=(), description="shown beside its name")

    @model_validator(mode="after")
    def url_fits_the_kind(self) -> Self:
        """Refuse a URL that cannot be checked in the way of the kind."""
        if (self.kind is Kind.TCP) != (self.url.scheme == "tcp"):
            raise ValueError(f"url: {self.url} does not fit kind {self.kind.value}")
        if self.url.port is None:
            raise ValueError(f"url: {self.url} has no port")
        return self

    @property
    def base_url(self) -> str:
        """The URL without a trailing slash."""
        return str(self.url).rstrip("/")


class Internal(Strict):
    """Not for users: places and times that tests and benchmarks change."""

    host: str = "0.0.0.0"
    port: int = Field(default=8090, ge=1, le=65535)
    state_dir: Path = Path("/var/lib/monitor")
    admin_socket: Path = Path("/tmp/monitor.sock")
    check_timeout: Seconds = CHECK_TIMEOUT
    hold_retry: Seconds = Field(default=120, description="until a withheld restart is retried")


class ServiceList(Strict):
    """The watched services: the content of services.json, which is read anew while it runs."""

    services: tuple[Service, ...] = Field(max_length=MOST_SERVICES)

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
        """Refuse dependencies on unknown services, and circular ones."""
        known = {service.name: service.depends_on for service in self.services}
        for name, dependencies in known.items():
            for other in dependencies:
                if other not in known:
                    allowed = ", ".join(sorted(known))
                    raise ValueError(
                        f"{name}: depends_on: there is no service {other!r}; allowed: {allowed}"
                    )
        _refuse_circles(known)
        return self


class Settings(ServiceList):
    """The whole of monitor.json."""

    stack: Name
    interval: Interval = 30
    hosts: tuple[HostPattern, ...] = Field(default=(), description="more names of the status page")
    services: tuple[Service, ...] = Field(default=(), max_length=MOST_SERVICES)
    service_list: ListLocation | None = Field(
        default=None, description="file or URL of services.json, instead of `services` here"
    )
    chat: ChatAddress | None = Field(default=None, description="of the links to the chat page")
    maintenance: tuple[MaintenanceWindow, ...] = ()
    thresholds: Thresholds = Thresholds()
    restarts: RestartSettings = RestartSettings()
    alerts: AlertSettings = AlertSettings()
    internal: Internal = Internal()

    @model_validator(mode="after")
    def has_one_list(self) -> Self:
        """Refuse settings without services, and with two lists of them."""
        if self.services and self.service_list:
            raise ValueError("service_list: the services are in that file; remove them here")
        if not self.services and not self.service_list:
            raise ValueError("services: found none; allowed: at least one, or service_list")
        return self

    def with_services(self, listed: ServiceList) -> Self:
        """These settings with the services of a list."""
        return self.model_copy(update={"services": listed.services})


def _refuse_circles(edges: Mapping[str, tuple[str, ...]]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError("depends_on is circular: " + " -> ".join((*path, name)))
        if name not in done:
            for other in edges[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())
