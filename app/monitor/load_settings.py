"""Loads the settings: from monitor.json, or from the environment for a single service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, HttpUrl

from app.monitor.settings import (
    Interval,
    Kind,
    RestartSettings,
    Service,
    ServiceList,
    Settings,
)
from app.shared.json_log import Log
from app.shared.settings_file import Strict, parse_settings, read_settings, validated
from app.shared.watched_file import Watched, watched_file

log = Log("monitor")

DEFAULT_CONFIG = Path("/run/config/monitor.json")


class Environment(Strict):
    """Variables of a monitor for one service, without a stack."""

    server_url: HttpUrl = Field(default=HttpUrl("http://localhost:8080/health"), alias="SERVER_URL")
    check_interval: Interval = Field(default=30, alias="CHECK_INTERVAL", description="seconds")
    tunnel_enabled: bool = Field(default=True, alias="TUNNEL_ENABLED")
    tunnel_metrics_url: HttpUrl | None = Field(
        default=None,
        alias="TUNNEL_METRICS_URL",
        description="base URL of cloudflared's metrics, such as http://cloudflared:20241",
    )


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file that `MONITOR_CONFIG` names (default /run/config/monitor.json); without a
    file, the variables of `Environment`.

    Raises SettingsError with one line for each problem.
    """
    path = Path(environ.get("MONITOR_CONFIG", DEFAULT_CONFIG))
    if "MONITOR_CONFIG" in environ or path.exists():
        return read_settings(path, Settings)
    return _from_environment(environ)


def watched_services(location: str) -> Watched[ServiceList]:
    """The services of a file or URL, as it is now and whenever it changes."""

    def parse(content: bytes) -> ServiceList:
        return parse_settings(content, ServiceList, location)

    return watched_file(location, parse)


def _from_environment(environ: Mapping[str, str]) -> Settings:
    """Restarts are off: without a stack there is no restarter."""
    names = {field.alias for field in Environment.model_fields.values()}
    variables = {name: value for name, value in environ.items() if name in names and value}
    environment = validated(variables, Environment, "environment")
    services = [Service(name="server", url=environment.server_url)]
    if environment.tunnel_enabled and environment.tunnel_metrics_url:
        url = environment.tunnel_metrics_url
        services.append(Service(name="tunnel", kind=Kind.CONNECTOR, url=url))
    elif environment.tunnel_enabled:
        log.warning(
            "tunnel is not checked",
            reason="TUNNEL_ENABLED is true, but TUNNEL_METRICS_URL is not set",
        )
    return Settings(
        stack="single",
        interval=environment.check_interval,
        services=tuple(services),
        restarts=RestartSettings(enabled=False),
    )
