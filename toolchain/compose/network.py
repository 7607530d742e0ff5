"""Ports, further names on the network, and hosts outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolchain.compose import model_servers
from toolchain.compose.forms import Port
from toolchain.compose.known_images import known_image
from toolchain.compose.outcome import Outcome
from toolchain.compose.yaml_file import Section


def apply_ports(service: Section, kind: str | None, command: str, outcome: Outcome) -> None:
    """`ports`, and the `port` that the stack checks and others use."""
    ports: list[Port] = service.get("ports") or []
    written, moved, without = [], [], []
    for port in ports:
        suffix = "" if port.protocol == "tcp" else f"/{port.protocol}"
        if port.protocol == "sctp":
            outcome.lose("ports", "the protocol sctp", "use tcp or udp")
            continue
        if port.host is None:
            without.append(f"{port.container}{suffix}")
            continue
        address = f"[{port.address}]" if port.address and ":" in port.address else port.address
        written.append(f"{address + ':' if address else ''}{port.host}:{port.container}{suffix}")
        if not port.address:
            moved.append(str(port.host))
    if written:
        outcome.entry["ports"] = written
    if moved:
        outcome.change(
            "ports",
            f"{', '.join(moved)} on 127.0.0.1, not on every address; "
            f'to open one: "0.0.0.0:{written[0] if len(written) == 1 else "…"}"',
        )
    elif written:
        outcome.carried.append("ports")
    if without:
        outcome.change(
            "ports", f"{', '.join(without)} without a port of the machine: not published"
        )
    _apply_port(service, ports, kind, command, outcome)


def _apply_port(
    service: Section, ports: list[Port], kind: str | None, command: str, outcome: Outcome
) -> None:
    numbers = [text.partition("/")[0].partition("-")[0] for text in service.get("expose") or []]
    exposed = [int(text) for text in numbers if text.isdigit()]
    published = [port.container for port in ports if port.protocol == "tcp"]
    known = known_image(service.get("image")).port
    own = [known] if known else []
    of_server = model_servers.listening_port(kind, command) if kind else None
    usual = [of_server] if of_server and not published else []
    for candidates in (usual, published, exposed, own):
        if candidates:
            first = candidates[0]
            if known in candidates:
                first = known
            outcome.entry["port"] = first
            return


def aliases(service: Section, networks: Mapping[str, Any]) -> list[str]:
    """The further names by which other services of the file may reach a service."""
    found = [service.get("hostname"), service.get("container_name")]
    for settings in (service.get("networks") or {}).values():
        if isinstance(settings, dict):
            given = settings.get("aliases")
            found += given if isinstance(given, list) else []
    return [name for name in found if isinstance(name, str) and name]


def linked(services: Mapping[str, Section]) -> dict[str, list[str]]:
    """By service, the names that the `links` of others give it."""
    found: dict[str, list[str]] = {}
    for service in services.values():
        for link in service.get("links") or []:
            name, colon, alias = link.partition(":")
            if colon:
                found.setdefault(name, []).append(alias)
    return found


def apply_hosts(service: Section, outcome: Outcome) -> None:
    """`extra_hosts`."""
    if hosts := service.get("extra_hosts"):
        outcome.carry("extra_hosts", [f"{name}:{address}" for name, address in hosts.items()])
