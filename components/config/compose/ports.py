"""Ports that a container publishes on the engine's machine: `ports`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from components.config.schema import refusal

LOOPBACK = "127.0.0.1"
_FORM = "'8080:80', '0.0.0.0:8080:80' or '5353:53/udp', in quotes"
_PORT = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:]+\]|[0-9.]+):)?(?P<published>\d{1,5}):(?P<target>\d{1,5})"
    r"(?:/(?P<protocol>tcp|udp))?"
)


@dataclass(frozen=True)
class PublishedPort:
    """A port of the machine that leads to one of the container."""

    published: int
    target: int
    address: str = LOOPBACK
    protocol: str = "tcp"

    def clashes_with(self, other: PublishedPort) -> bool:
        """Whether one machine cannot open both."""
        same = (self.published, self.protocol) == (other.published, other.protocol)
        everywhere = {"0.0.0.0", "::"} & {self.address, other.address}
        return same and (bool(everywhere) or self.address == other.address)

    def __str__(self) -> str:
        return f"{self.address}:{self.published}/{self.protocol}"


def _published_port(value: Any) -> PublishedPort:
    if isinstance(value, PublishedPort):
        return value
    # YAML reads 22:22 without quotes as a number to the base 60.
    match = _PORT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refusal("is not a valid published port", allowed=_FORM)
    published, target = int(match["published"]), int(match["target"])
    if not (0 < published < 65536 and 0 < target < 65536):
        raise refusal("is not a valid published port", allowed="ports from 1 to 65535")
    address = (match["address"] or LOOPBACK).strip("[]")
    try:
        ip_address(address)
    except ValueError:
        raise refusal(f"has {address!r} in place of an IP address", allowed=_FORM) from None
    return PublishedPort(published, target, address, match["protocol"] or "tcp")


PortMapping = Annotated[
    PublishedPort, BeforeValidator(_published_port), WithJsonSchema({"type": "string"})
]
