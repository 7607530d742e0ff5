"""Which services of a stack have a tunnel, of which kind, and what is missing for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pulumi

from components.config.orchestrator import not_running_problems
from components.config.problems import Problem, Source, choices
from components.config.tunnels import (
    Access,
    People,
    ServiceTunnelSettings,
    TunnelMode,
    TunnelSettings,
)
from components.kinds.service import Service

# In this stack a service is called by its plain name; elsewhere the stack's name follows it.
MAIN_STACK = "prod"


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


@dataclass(frozen=True)
class _Wish:
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


def tunnel_problems(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, Service],
    enabled: Collection[str],
    *,
    tokens: Mapping[str, object],
    cloudflare_account: bool,
    api_keys: bool,
    one_engine: bool = True,
    source: Source,
) -> Iterator[Problem]:
    """Everything that keeps the tunnels from being made.

    :param services: those of the stack that are valid.
    :param enabled: the names of all its services.
    """
    wishes = _wishes(stack, settings, services, tokens)
    yield from not_running_problems(("tunnel", "services"), settings.services, enabled, source)
    yield from _token_problems(tokens, wishes, enabled, source)
    yield from _account_problems(settings, wishes, cloudflare_account, source)
    for wish in wishes:
        yield from _access_problems(wish, api_keys, source)
        yield from _quick_tunnel_problems(wish, one_engine, source)
    yield from _hostname_problems(settings, wishes, source)


def make_tunnel_plans(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, Service],
    tokens: Mapping[str, pulumi.Output[str]],
) -> dict[str, TunnelPlan]:
    """The tunnels of a stack without problems, by service."""
    return {
        wish.service: TunnelPlan(wish.service, _kind(wish, settings, tokens), wish.replicas)
        for wish in _wishes(stack, settings, services, tokens)
        if wish.mode is not TunnelMode.OFF
    }


def _wishes(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, Service],
    tokens: Mapping[str, object],
) -> list[_Wish]:
    return [
        _wish(name, service, stack, settings, settings.services.get(name, _NOTHING), name in tokens)
        for name, service in services.items()
    ]


_NOTHING = ServiceTunnelSettings()


def _wish(
    name: str,
    service: Service,
    stack: str,
    settings: TunnelSettings,
    own: ServiceTunnelSettings,
    given: bool,
) -> _Wish:
    # A service that the catalogue keeps private is opened by its own entry only.
    mode = own.mode or (settings.mode if service.public else TunnelMode.OFF)
    access = own.access or settings.access
    if access is None and mode is TunnelMode.QUICK:
        access = Access.PUBLIC
    label = name.removesuffix("-interface").removesuffix("-inference")
    return _Wish(
        service=name,
        checks_keys=service.checks_keys,
        mode=mode,
        access=access,
        people=own.people or settings.people,
        subdomain=own.subdomain or (label if stack == MAIN_STACK else f"{label}-{stack}"),
        replicas=own.replicas or settings.replicas,
        given=given,
    )


def _kind(
    wish: _Wish, settings: TunnelSettings, tokens: Mapping[str, pulumi.Output[str]]
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


def _token_problems(
    tokens: Mapping[str, object],
    wishes: list[_Wish],
    enabled: Collection[str],
    source: Source,
) -> Iterator[Problem]:
    for name in tokens:
        if name not in enabled:
            yield source.problem(
                (f"cloudflareTunnelToken-{name}",),
                f"{name!r} is not a service of this stack",
                allowed=choices(name, enabled),
                run=f"pulumi config rm llm-stack:cloudflareTunnelToken-{name}",
            )
    for wish in wishes:
        if wish.given and wish.mode is not TunnelMode.NAMED:
            yield source.problem(
                wish.key("mode"),
                f"cloudflareTunnelToken-{wish.service} is set, but the tunnel is not a named one",
                found=wish.mode.value,
                allowed="allowed: named",
                run=wish.set("mode", "named"),
            )


def _account_problems(
    settings: TunnelSettings, wishes: list[_Wish], cloudflare_account: bool, source: Source
) -> Iterator[Problem]:
    named = ", ".join(wish.service for wish in wishes if wish.named)
    if not named:
        return
    for key, value, example in (
        ("baseDomain", settings.base_domain, "example.com"),
        ("accountId", settings.account_id, "<32 of 0-9 and a-f>"),
        ("zoneId", settings.zone_id, "<32 of 0-9 and a-f>"),
    ):
        if value is None:
            yield source.problem(
                ("tunnel", key),
                f"is missing for the named tunnel of {named}",
                run=f"pulumi config set --path llm-stack:tunnel.{key} {example}",
            )
    if not cloudflare_account:
        yield source.problem(
            ("tunnel", "mode"),
            f"no Cloudflare credentials for the named tunnel of {named}",
            run="pulumi config set --secret cloudflare:apiToken",
        )


def _access_problems(wish: _Wish, api_keys: bool, source: Source) -> Iterator[Problem]:
    """No service is public without a setting for who may use it."""
    if wish.mode is TunnelMode.OFF:
        return
    possible = _possible_access(wish)
    allowed = f"allowed: {', '.join(possible) or f'none in mode {wish.mode.value}'}"
    if wish.access is None:
        yield source.problem(
            wish.key("access"),
            f"is missing: who may use {wish.service} from the internet",
            allowed=allowed,
            run=wish.set("access", possible[0]) if possible else wish.set("mode", "off"),
        )
    elif wish.access not in possible:
        yield source.problem(
            wish.key("access"), _WHY_NOT[wish.access], found=wish.access.value, allowed=allowed
        )
    elif wish.access is Access.KEY and not api_keys:
        yield source.problem(
            wish.key("access"),
            "the gateway has no API keys",
            found="key",
            run="pulumi config set --secret llm-stack:apiKeys < api_keys.json",
        )
    elif wish.access is Access.ACCESS and wish.named and wish.people == People():
        yield source.problem(
            wish.key("people"),
            "is empty, so Cloudflare Access would deny everyone",
            run="pulumi config set --path 'llm-stack:tunnel.people.emails[0]' jo@example.com",
        )


def _possible_access(wish: _Wish) -> list[str]:
    """Access needs a fixed hostname; of a tunnel made elsewhere, it is set up there."""
    possible = [Access.ACCESS] if wish.mode is TunnelMode.NAMED else []
    if wish.checks_keys:
        possible += [Access.KEY, Access.PUBLIC]
    return [access.value for access in possible]


_WHY_NOT = {
    Access.ACCESS: "Cloudflare Access needs a fixed hostname; quick tunnels have none",
    Access.KEY: "only the gateway checks API keys",
    Access.PUBLIC: "only the gateway limits its clients",
}


def _quick_tunnel_problems(wish: _Wish, one_engine: bool, source: Source) -> Iterator[Problem]:
    if wish.mode is not TunnelMode.QUICK:
        return
    if wish.replicas > 1:
        yield source.problem(
            wish.key("replicas"),
            "every connector of a quick tunnel has another hostname",
            found=wish.replicas,
            allowed="allowed: 1",
            run=wish.set("replicas", "1"),
        )
    if not one_engine:
        yield source.problem(
            wish.key("mode"),
            "a quick tunnel's hostname is read from its container's log, which may be on any node "
            "of a Swarm",
            found="quick",
            allowed="allowed: named, off",
            run=wish.set("mode", "off"),
        )


def _hostname_problems(
    settings: TunnelSettings, wishes: list[_Wish], source: Source
) -> Iterator[Problem]:
    used = Counter(wish.subdomain for wish in wishes if wish.named)
    for name, times in used.items():
        if times > 1:
            yield source.problem(
                ("tunnel", "services"),
                f"{times} services would have the hostname {name}.{settings.base_domain}",
                allowed="allowed: a subdomain for each",
            )
