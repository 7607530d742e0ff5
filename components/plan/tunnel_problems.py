"""What keeps the tunnels of a stack from being made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from components.config.orchestrator import not_running_problems
from components.config.problems import Problem, Source, choices
from components.config.tunnels import Access, People, TunnelMode, TunnelSettings
from components.kinds.service import LocalService
from components.plan.tunnels import TunnelWish, tunnel_wishes


def tunnel_problems(
    stack: str,
    settings: TunnelSettings,
    services: Mapping[str, LocalService],
    enabled: Collection[str],
    *,
    tokens: Mapping[str, object],
    cloudflare_account: bool,
    api_keys: bool,
    one_engine: bool = True,
    gateway_hosts: Collection[str] = (),
    source: Source,
) -> Iterator[Problem]:
    """Everything that keeps the tunnels from being made.

    :param services: those of the stack that are valid.
    :param enabled: the names of all its services.
    :param gateway_hosts: the host names that the settings of the gateway list.
    """
    wishes = tunnel_wishes(stack, settings, services, tokens)
    yield from not_running_problems(("tunnel", "services"), settings.services, enabled, source)
    yield from _token_problems(tokens, wishes, enabled, source)
    yield from _account_problems(settings, wishes, cloudflare_account, source)
    for wish in wishes:
        yield from _port_problems(wish, services[wish.service], source)
        yield from _access_problems(wish, api_keys, source)
        yield from _quick_tunnel_problems(wish, one_engine, source)
        yield from _unknown_hostname_problems(wish, gateway_hosts, source)
    yield from _hostname_problems(settings, wishes, source)


def _port_problems(wish: TunnelWish, service: LocalService, source: Source) -> Iterator[Problem]:
    if wish.mode is not TunnelMode.OFF and service.port is None:
        yield source.problem(
            wish.key("mode"),
            "is a tunnel to a service without a port",
            found=wish.mode.value,
            allowed="allowed: off, or port: what it listens on in the catalogue",
        )


def _token_problems(
    tokens: Mapping[str, object],
    wishes: list[TunnelWish],
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
    settings: TunnelSettings, wishes: list[TunnelWish], cloudflare_account: bool, source: Source
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


def _access_problems(wish: TunnelWish, api_keys: bool, source: Source) -> Iterator[Problem]:
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


def _possible_access(wish: TunnelWish) -> list[str]:
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


def _quick_tunnel_problems(wish: TunnelWish, one_engine: bool, source: Source) -> Iterator[Problem]:
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


def _unknown_hostname_problems(
    wish: TunnelWish, gateway_hosts: Collection[str], source: Source
) -> Iterator[Problem]:
    """The gateway refuses requests to other host names than its own."""
    if wish.mode is TunnelMode.NAMED and wish.given and wish.checks_keys and not gateway_hosts:
        yield source.problem(
            ("gateway", "hosts"),
            f"is missing: the hostname of the tunnel of {wish.service}, which was made elsewhere",
            run="pulumi config set --path 'llm-stack:gateway.hosts[0]' chat.example.com",
        )


def _hostname_problems(
    settings: TunnelSettings, wishes: list[TunnelWish], source: Source
) -> Iterator[Problem]:
    used = Counter(wish.subdomain for wish in wishes if wish.named)
    for name, times in used.items():
        if times > 1:
            yield source.problem(
                ("tunnel", "services"),
                f"{times} services would have the hostname {name}.{settings.base_domain}",
                allowed="allowed: a subdomain for each",
            )
