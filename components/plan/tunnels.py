"""Which services of a stack have a tunnel, of which kind, and what is missing for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.config.tunnels import (
    Access,
    People,
    ServiceTunnelSettings,
    TunnelMode,
    TunnelSettings,
)
from components.kinds.service import LocalService

# In this stack a service is called by its plain name; elsewhere the stack's name follows it.
MAIN_STACK = "prod"
# The names of quick tunnels. Only Cloudflare decides what they resolve to.
QUICK_HOSTS = "*.trycloudflare.com"


@dataclass(frozen=True)
class NamedTunnel:
    """A tunnel that the stack makes, with a fixed hostname."""

    hostname: str
    account_id: str
    zone_id: str
    people: People | None
    """Whom Cloudflare Access lets in; None where the service itself decides."""


@dataclass(frozen=True)
class GivenTunnel:
    """A tunnel that was made elsewhere, names and rules included, and is only connected here."""

    token: pulumi.Output[str]


@dataclass(frozen=True)
class QuickTunnel:
    """A tunnel without an account, whose address changes whenever its connector starts."""


@dataclass(frozen=True)
class TunnelPlan:
    """The tunnel of one service."""

    service: str
    kind: NamedTunnel | GivenTunnel | QuickTunnel
    replicas: int

    @property
    def connectors(self) -> list[str]:
        """Names of the connectors on the network."""
        return [f"{self.service}-tunnel-{number}" for number in range(1, self.replicas + 1)]

    @property
    def host_pattern(self) -> str | None:
        """Its public host name, perhaps with a wildcard; None if it was decided elsewhere."""
        match self.kind:
            case NamedTunnel(hostname=hostname):
                return hostname
            case QuickTunnel():
                return QUICK_HOSTS
            case GivenTunnel():
                return None


@dataclass(frozen=True)
class TunnelWish:
    """The tunnel settings of one service, those of the stack and its own joined."""

    service: str
    checks_keys: bool
    mode: TunnelMode
    access: Access | None
    people: People
    subdomain: str
    replicas: int
    given: bool

    def key(self, name: str) -> tuple[str, ...]:
        """The place of one of its settings."""
        return ("tunnel", "services", self.service, name)

    def set(self, name: str, value: str) -> str:
        """The command that sets it."""
        return f"pulumi config set --path llm-stack:{'.'.join(self.key(name))} {value}"

    @property
    def named(self) -> bool:
        """Whether the stack itself makes the tunnel."""
        return self.mode is TunnelMode.NAMED and not self.given


def make_tunnel_plans(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, LocalService],
    tokens: Mapping[str, pulumi.Output[str]],
) -> dict[str, TunnelPlan]:
    """The tunnels of a stack without problems, by service."""
    return {
        wish.service: TunnelPlan(wish.service, _kind(wish, settings, tokens), wish.replicas)
        for wish in tunnel_wishes(stack, settings, services, tokens)
        if wish.mode is not TunnelMode.OFF
    }


def tunnel_wishes(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, LocalService],
    tokens: Mapping[str, object],
) -> list[TunnelWish]:
    return [
        _wish(name, service, stack, settings, settings.services.get(name, _NOTHING), name in tokens)
        for name, service in services.items()
    ]


_NOTHING = ServiceTunnelSettings()


def _wish(
    name: str,
    service: LocalService,
    stack: str,
    settings: TunnelSettings,
    own: ServiceTunnelSettings,
    given: bool,
) -> TunnelWish:
    # A service that the catalogue keeps private is opened by its own entry only.
    mode = own.mode or (settings.mode if service.public else TunnelMode.OFF)
    label = name.removesuffix("-interface").removesuffix("-inference")
    return TunnelWish(
        service=name,
        checks_keys=service.checks_keys,
        mode=mode,
        access=own.access or settings.access,
        people=own.people or settings.people,
        subdomain=own.subdomain or (label if stack == MAIN_STACK else f"{label}-{stack}"),
        replicas=own.replicas or settings.replicas,
        given=given,
    )


def _kind(
    wish: TunnelWish, settings: TunnelSettings, tokens: Mapping[str, pulumi.Output[str]]
) -> NamedTunnel | GivenTunnel | QuickTunnel:
    if wish.mode is TunnelMode.QUICK:
        return QuickTunnel()
    if wish.given:
        return GivenTunnel(tokens[wish.service])
    return NamedTunnel(
        hostname=f"{wish.subdomain}.{settings.base_domain}",
        account_id=settings.account_id or "",
        zone_id=settings.zone_id or "",
        people=wish.people if wish.access is Access.ACCESS else None,
    )
