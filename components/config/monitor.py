"""How the monitor of a stack works: settings under `llm-stack:monitor`.

Defaults are those of app/monitor/settings.py; only what a stack sets is written to monitor.json.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, HttpUrl

from components.config.alerts import WebhookFormat
from components.config.field_types import HostPattern
from components.config.maintenance import MaintenanceWindow
from components.config.schema import CamelModel

Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]


class Thresholds(CamelModel):
    """When a service counts as unhealthy, and as healthy again; times in seconds."""

    fail_after: int = Field(default=3, ge=1, le=100, description="failed checks in a row")
    recover_after: int = Field(default=2, ge=1, le=100, description="passed checks in a row")
    retry_interval: Seconds = Field(default=5, description="between checks while undecided")
    stall_after: Seconds = Field(default=120, description="busy without a single new token")
    canary_every: Seconds = Field(default=600, description="between one-token tests when idle")
    drain_limit: Seconds = Field(default=300, description="draining longer is a failure")
    flap_changes: int = Field(default=6, ge=2, le=100, description="changes within flapWindow")
    flap_window: Seconds = 900


class RestartPolicy(CamelModel):
    """How often an unhealthy service is restarted at most; times in seconds."""

    backoff: Seconds = Field(default=30, description="after the first restart, then doubled")
    backoff_max: Seconds = 900
    limit: int = Field(default=5, ge=1, le=100, description="restarts within window, then give up")
    window: Seconds = 3600
    stable_after: Seconds = Field(default=600, description="healthy so long resets the backoff")


class AlertSettings(CamelModel):
    """What of the alerts is not secret."""

    formats: dict[str, WebhookFormat] = Field(
        default_factory=dict, description="of webhooks whose host does not show their format"
    )
    remind_every: int = Field(
        default=4 * 3600, ge=60, le=30 * 86_400, description="seconds, while a failure lasts"
    )
    group_wait: Annotated[float, Field(ge=0, le=600)] = Field(
        default=5, description="seconds; alerts within this time share a message"
    )
    page_url: HttpUrl | None = Field(
        default=None, description="where people open the status page, for a link to it"
    )


class PublicChecks(CamelModel):
    """Checks of the tunnels' public addresses from outside."""

    enabled: bool = Field(
        default=True, description="false where containers do not reach the internet"
    )
    certificate_days: int = Field(
        default=14, ge=0, le=365, description="for which a certificate must still be valid"
    )


class MonitorSettings(CamelModel):
    """All that a stack can set of its monitor."""

    interval: int = Field(default=30, ge=1, le=3600, description="seconds between two checks")
    hosts: tuple[HostPattern, ...] = Field(
        default=(), description="host names of the status page, such as that of a reverse proxy"
    )
    thresholds: Thresholds = Thresholds()
    restarts: bool = Field(
        default=True,
        description="whether an unhealthy service is restarted; a Swarm does so itself",
    )
    restart_policy: RestartPolicy = RestartPolicy()
    socket_group: int | None = Field(
        default=None,
        ge=0,
        description="id of the group of the engine's socket, where it cannot be read",
    )
    maintenance: tuple[MaintenanceWindow, ...] = Field(
        default=(), max_length=50, description="when nothing is alerted or restarted"
    )
    public_checks: PublicChecks = PublicChecks()
    alerts: AlertSettings = AlertSettings()
