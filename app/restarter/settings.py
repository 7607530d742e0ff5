"""Settings of the restarter: its stack, the services that it may restart, and how often."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

DEFAULT_CONFIG = Path("/run/config/restarter.json")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SHORTEST_TOKEN = 32


class SettingsError(Exception):
    """The settings are invalid; the text names file, key, value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of restarter.json.

    :param services: those that it may restart; or
    :param service_list: the path of a file with them, which is read anew at each request.
    :param min_gap: seconds between two restarts of a service.
    """

    stack: str
    services: tuple[str, ...] = ()
    service_list: str | None = None
    max_per_hour: int = 10
    min_gap: float = 5.0
    host: str = "0.0.0.0"
    port: int = 8070
    token_file: str = "/run/secrets/restarter_token"
    docker_socket: str = "/var/run/docker.sock"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file that RESTARTER_CONFIG names, by default /run/config/restarter.json.

    Raises SettingsError.
    """
    path = Path(environ.get("RESTARTER_CONFIG", DEFAULT_CONFIG))
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON: {error}") from None
    try:
        return parse(data)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def parse(data: Any) -> Settings:
    """Validate the content of the file; raises SettingsError."""
    if not isinstance(data, dict):
        raise SettingsError("the file must hold a JSON object")
    known = [field.name for field in fields(Settings)]
    for key in data:
        if key not in known:
            raise SettingsError(f"{key}: unknown key; allowed: {', '.join(known)}")
    _check_name("stack", data.get("stack"))
    service_list = data.get("service_list")
    if (service_list is None) is ("services" not in data):
        raise SettingsError("found none or both of services and service_list; allowed: one of them")
    if service_list is not None and not isinstance(service_list, str):
        raise SettingsError(f"service_list: found {service_list!r}; allowed: a path")
    services = _names(data) if service_list is None else ()
    for key in ("max_per_hour", "min_gap", "port"):
        value = data.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise SettingsError(f"{key}: found {value!r}; allowed: a number from 0")
    return Settings(**{**data, "services": services})


def read_services(path: str) -> tuple[str, ...]:
    """The services in a file that lists them; raises SettingsError."""
    try:
        data = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(data, dict) or [*data] != ["services"]:
        raise SettingsError(f"{path}: allowed: a JSON object with one key, services")
    try:
        return _names(data)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def _names(data: Mapping[str, Any]) -> tuple[str, ...]:
    services = data["services"]
    if not isinstance(services, list):
        raise SettingsError(f"services: found {services!r}; allowed: a list of names")
    for name in services:
        _check_name("services", name)
    return tuple(services)


def _check_name(key: str, name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SettingsError(f"{key}: found {name!r}; allowed: a name like 'phi-inference'")


def read_token(path: str) -> bytes:
    """The token that the monitor signs with; raises SettingsError."""
    try:
        token = Path(path).read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if len(token) < SHORTEST_TOKEN:
        raise SettingsError(f"{path}: the token is shorter than {SHORTEST_TOKEN} bytes")
    return token
