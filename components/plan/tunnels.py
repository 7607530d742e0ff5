"""Which services of a stack have a tunnel, of which kind, and what a stack lacks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pulumi

from components.config.catalogue import AnyService, ChatService
from components.config.schema import choices
from components.config.tunnels import Access, People, ServiceTunnelSettings, TunnelMode, TunnelSettings

# In this stack a service is called by its plain name; elsewhere the stack's name follows it.
MAIN_STACK = "prod"


@dataclass(frozen=True)
class NamedTunnel:
    """A tunnel that the stack makes, with a DNS name of its own."""

    hostname: str
    account_id: str
    zone_id: str
    people: People | None
    """Whom Cloudflare Access lets in; None leaves the door to the service itself."""


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
    """What the settings ask for one service, once stack and service are joined."""

    service: str
    gateway: bool
    mode: TunnelMode
    access: Access | None
    people: People
    subdomain: str
    replicas: int
    given: bool

    @property
    def key(self) -> str:
        return f"tunnel.services.{self.service}"

    @property
    def named(self) -> bool:
        """Whether the stack itself makes the tunnel."""
        return self.mode is TunnelMode.NAMED and not self.given


def tunnel_problems(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, AnyService],
    *,
    tokens: Mapping[str, object],
    cloudflare_account: bool,
    api_keys: bool,
    one_engine: bool = True,
) -> list[str]:
    """Everything that keeps the tunnels from being made, as `key: what is wrong; what to do`."""
    wishes = _wishes(stack, settings, services, tokens)
    return [
        *_ensure_services_run_here(settings, services),
        *_ensure_tokens_have_a_tunnel(tokens, wishes, services),
        *_ensure_stack_can_make_tunnels(settings, wishes, cloudflare_account),
        *(problem for wish in wishes for problem in _ensure_access_is_possible(wish, api_keys)),
        *_ensure_quick_tunnels_are_single(wishes),
        *([] if one_engine else _ensure_no_quick_tunnel(wishes)),
        *_ensure_hostnames_differ(settings, wishes),
    ]


def make_tunnel_plans(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, AnyService],
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
    services: Mapping[str, AnyService],
    tokens: Mapping[str, object],
) -> list[_Wish]:
    return [
        _wish(name, service, stack, settings, settings.services.get(name, _NOTHING), name in tokens)
        for name, service in services.items()
    ]


_NOTHING = ServiceTunnelSettings()


def _wish(
    name: str,
    service: AnyService,
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
        gateway=isinstance(service, ChatService),
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


def _ensure_services_run_here(
    settings: TunnelSettings, services: Mapping[str, AnyService]
) -> list[str]:
    return [
        f"tunnel.services.{name}: this stack runs no such service; {choices(name, services)}"
        for name in settings.services
        if name not in services
    ]


def _ensure_tokens_have_a_tunnel(
    tokens: Mapping[str, object], wishes: list[_Wish], services: Mapping[str, AnyService]
) -> Iterator[str]:
    for name in tokens:
        if name not in services:
            yield (
                f"cloudflareTunnelToken-{name}: this stack runs no such service; "
                f"{choices(name, services)}"
            )
    for wish in wishes:
        if wish.given and wish.mode is not TunnelMode.NAMED:
            yield (
                f"cloudflareTunnelToken-{wish.service}: a token is given, but this service has no "
                f"named tunnel; found mode {wish.mode.value!r}, allowed: named, by "
                f"pulumi config set --path llm-stack:{wish.key}.mode named"
            )


def _ensure_stack_can_make_tunnels(
    settings: TunnelSettings, wishes: list[_Wish], cloudflare_account: bool
) -> Iterator[str]:
    named = ", ".join(wish.service for wish in wishes if wish.named)
    if not named:
        return
    for key, value, example in (
        ("baseDomain", settings.base_domain, "example.com"),
        ("accountId", settings.account_id, "<32 of 0-9 and a-f>"),
        ("zoneId", settings.zone_id, "<32 of 0-9 and a-f>"),
    ):
        if value is None:
            yield (
                f"tunnel.{key}: is missing for the named tunnel of {named}; "
                f"run: pulumi config set --path llm-stack:tunnel.{key} {example}"
            )
    if not cloudflare_account:
        yield (
            f"tunnel.mode: nothing to sign in to Cloudflare with for the named tunnel of {named}; "
            "run: pulumi config set --secret cloudflare:apiToken"
        )


def _ensure_access_is_possible(wish: _Wish, api_keys: bool) -> Iterator[str]:
    """Nothing reaches the internet before somebody has said who may use it."""
    if wish.mode is TunnelMode.OFF:
        return
    key = f"{wish.key}.access"
    possible = _possible_access(wish)
    allowed = f"allowed: {', '.join(possible) or f'none in mode {wish.mode.value}'}"
    if wish.access is None:
        yield (
            f"{key}: does not say who may use {wish.service} from the internet; {allowed}; "
            f"run: pulumi config set --path llm-stack:{key} {possible[0]}"
        )
    elif wish.access not in possible:
        yield f"{key}: {_WHY_NOT[wish.access]}; found {wish.access.value!r}, {allowed}"
    elif wish.access is Access.KEY and not api_keys:
        yield (
            f"{key}: the gateway knows no key; found 'key', run: "
            "pulumi config set --secret llm-stack:apiKeys < api_keys.json"
        )
    elif wish.access is Access.ACCESS and wish.named and wish.people == People():
        yield (
            f"{wish.key}.people: names nobody whom Cloudflare Access could let in; "
            f"run: pulumi config set --path 'llm-stack:tunnel.people.emails[0]' jo@example.com"
        )


def _possible_access(wish: _Wish) -> list[str]:
    """Only the gateway knows keys; Access is tied to a name, and where a token is given it is for
    whoever made that tunnel to set it up."""
    possible = [Access.ACCESS] if wish.mode is TunnelMode.NAMED else []
    if wish.gateway:
        possible += [Access.KEY, Access.PUBLIC]
    return [access.value for access in possible]


_WHY_NOT = {
    Access.ACCESS: "Cloudflare Access needs a name of one's own, which a quick tunnel has not",
    Access.KEY: "only the gateway asks for a key",
    Access.PUBLIC: "only the gateway has limits of its own",
}


def _ensure_quick_tunnels_are_single(wishes: list[_Wish]) -> list[str]:
    return [
        f"{wish.key}.replicas: every connector of a quick tunnel has an address of its own; "
        f"found {wish.replicas}, allowed: 1"
        for wish in wishes
        if wish.mode is TunnelMode.QUICK and wish.replicas > 1
    ]


def _ensure_no_quick_tunnel(wishes: list[_Wish]) -> list[str]:
    return [
        f"{wish.key}.mode: a quick tunnel's address is read from its container's log, which may be "
        "on any node of a Swarm; found 'quick', allowed: named, off"
        for wish in wishes
        if wish.mode is TunnelMode.QUICK
    ]


def _ensure_hostnames_differ(settings: TunnelSettings, wishes: list[_Wish]) -> list[str]:
    used = Counter(wish.subdomain for wish in wishes if wish.named)
    return [
        f"tunnel.services: {times} services would be called {name}.{settings.base_domain}; "
        "allowed: a subdomain for each"
        for name, times in used.items()
        if times > 1
    ]
