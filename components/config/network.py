"""The subnet of a stack's networks: settings under `llm-stack:network`."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from components.config.schema import CamelModel, refusal

# RFC 1918: no host on the internet has these.
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
# Prefix lengths. A /26 leaves 29 addresses to services, which take two each in an update.
_LARGEST, _SMALLEST = 16, 26
# Prefix length that leaves room for the restarter, the monitor, and a new version of each.
_RESTARTER = 28
_ALLOWED = (
    f"a private IPv4 subnet of /{_LARGEST} to /{_SMALLEST}, "
    f"in {', '.join(map(str, _PRIVATE))}, such as 10.213.0.0/24"
)


def _parse_subnet(value: object) -> IPv4Network:
    try:
        subnet = IPv4Network(value if isinstance(value, str) else "", strict=False)
    except ValueError:
        raise refusal("is not an IPv4 subnet", allowed=_ALLOWED) from None
    if not _LARGEST <= subnet.prefixlen <= _SMALLEST:
        raise refusal(f"has the size /{subnet.prefixlen}", allowed=_ALLOWED)
    if not any(subnet.subnet_of(private) for private in _PRIVATE):
        raise refusal("is not private", allowed=_ALLOWED)
    if value != str(subnet):
        raise refusal("is not the first address and the prefix length", allowed=str(subnet))
    return subnet


class NetworkSettings(CamelModel):
    """The subnet that a stack's networks share; without these settings the engine chooses.

    On one engine it is divided into two ranges that do not overlap. A Swarm has no restarter.
    """

    subnet: Annotated[
        IPv4Network, BeforeValidator(_parse_subnet), WithJsonSchema({"type": "string"})
    ] = Field(description="divided between the services' network and the restarter's")

    @property
    def services(self) -> IPv4Network:
        """The first half, for all services but the restarter."""
        return next(self.subnet.subnets())

    @property
    def restarter(self) -> IPv4Network:
        """The last sixteen addresses."""
        *_, last = self.subnet.subnets(new_prefix=_RESTARTER)
        return last
