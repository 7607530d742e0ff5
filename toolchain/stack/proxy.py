"""The proxy of this shell, as settings of a stack and as notes of `./dev doctor`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from toolchain.project import NAME
from toolchain.stack.reachability import is_loopback

SETTING = f"{NAME}:proxy"
DOCKER_CONFIG = "config.json"
# The pattern of noProxy in components/config/network_access.py.
_DIRECT_HOST = re.compile(r"[A-Za-z0-9.:*/_\[\]-]+")


@dataclass(frozen=True)
class ShellProxy:
    """The shell's proxy, as far as a stack can use it."""

    settings: Mapping[str, str]
    """By path, for `pulumi config set --path PATH VALUE`; empty if no proxy can be used."""
    skipped: tuple[str, ...]
    """A sentence for each variable that builds and containers cannot use."""


def shell_proxy(environ: Mapping[str, str] = os.environ) -> ShellProxy:
    """Convert HTTP_PROXY, HTTPS_PROXY and NO_PROXY to settings under `llm-stack:proxy`."""
    settings: dict[str, str] = {}
    skipped: list[str] = []
    for scheme in ("http", "https"):
        name, value = _variable(f"{scheme}_proxy", environ)
        if not value:
            continue
        address = value if "://" in value else f"http://{value}"
        if problem := _problem(address):
            skipped.append(f"{name} is not used by builds and containers: {problem}.")
        else:
            settings[f"{SETTING}.{scheme}"] = address.rstrip("/")
    if settings:
        _, value = _variable("no_proxy", environ)
        direct = [host for host in re.split(r"[,\s]+", value) if _DIRECT_HOST.fullmatch(host)]
        # Loopback hosts never use a proxy.
        others = [host for host in dict.fromkeys(direct) if not is_loopback(host)]
        settings |= {f"{SETTING}.noProxy[{at}]": host for at, host in enumerate(others)}
    return ShellProxy(settings, tuple(skipped))


def notes(
    environ: Mapping[str, str] = os.environ, docker_config: Path | None = None
) -> tuple[str, ...]:
    """Notes on the proxies of this shell and of Docker's client; often empty.

    :param docker_config: the settings file of Docker's client, if not the default one.
    """
    found = shell_proxy(environ)
    folder = environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    lines = list(found.skipped)
    if found.settings:
        lines.append(f"this shell has a proxy; builds and containers only use {SETTING}")
    file = docker_config or Path(folder) / DOCKER_CONFIG
    if _names_proxies(file):
        lines.append(
            f"{file} sets a proxy for `docker run`; containers of the stack only use {SETTING}"
        )
    return tuple(lines)


def _variable(lower: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name and value of a variable; lower case takes precedence, as in most programs."""
    names = (lower, lower.upper())
    return next(((n, v) for n in names if (v := environ.get(n, "").strip())), (lower.upper(), ""))


def _problem(address: str) -> str | None:
    """Why a container cannot use a proxy; the text never contains a password."""
    try:
        parts = urlsplit(address)
        host = parts.hostname if (parts.port or 1) > 0 else None
    except ValueError:
        host = None
    if not host:
        return "it is not a valid address; set http://HOST:PORT"
    if parts.scheme != "http":
        return f"it is a {parts.scheme}:// proxy; set http://HOST:PORT"
    if parts.username is not None or parts.password is not None:
        return (
            "it contains a user name or password, which `docker inspect` would show; set a proxy "
            "without authentication, or one that allows this machine by its IP address"
        )
    if is_loopback(host):
        return (
            f"in a container, {host} is the container itself; let the proxy listen on an address "
            "that containers can reach, and set that address"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "it has a path; set http://HOST:PORT"
    return None


def _names_proxies(file: Path) -> bool:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and bool(content.get("proxies"))
