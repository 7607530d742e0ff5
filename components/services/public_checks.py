"""The monitor's checks of public addresses: one for each hostname of the stack's tunnels."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from components.config.names import PUBLIC_SUFFIX
from components.plan.plan import Plan
from components.plan.tunnels import NamedTunnel, QuickTunnel, TunnelPlan
from components.tunnel.tunnel import connector_url

# Seconds until a new name resolves everywhere.
START_TIMEOUT = 300


def public_checks(plan: Plan, checked: Collection[str]) -> Iterator[dict[str, object]]:
    """Entries of services.json.

    :param checked: names of the other entries.
    """
    for tunnel in plan.tunnels.values():
        if name := public_name(tunnel, plan):
            yield {
                "name": name,
                "kind": "public",
                "url": _url(tunnel, plan),
                "depends_on": [
                    *(one for one in plan.addresses(tunnel.service) if one in checked),
                    *tunnel.connectors,
                ],
                "start_grace": START_TIMEOUT,
                "restart": False,
                "public": _expected(tunnel, plan),
            }


def public_name(tunnel: TunnelPlan, plan: Plan) -> str | None:
    """The name of a tunnel's check; None for a tunnel that was made elsewhere, whose hostnames
    are not known here."""
    known = isinstance(tunnel.kind, NamedTunnel | QuickTunnel)
    enabled = plan.settings.monitor.public_checks.enabled
    return f"{tunnel.service}{PUBLIC_SUFFIX}" if known and enabled else None


def _url(tunnel: TunnelPlan, plan: Plan) -> str:
    """Of a quick tunnel that of its connector, which reports the public name."""
    if isinstance(tunnel.kind, NamedTunnel):
        return f"https://{tunnel.kind.hostname}{_path(tunnel, plan)}"
    return connector_url(tunnel.connectors[0])


def _expected(tunnel: TunnelPlan, plan: Plan) -> dict[str, object]:
    days = {"certificate_days": plan.settings.monitor.public_checks.certificate_days}
    if isinstance(tunnel.kind, NamedTunnel):
        return {**days, "sign_in": tunnel.kind.people is not None}
    return {**days, "quick": True, "path": _path(tunnel, plan)}


def _path(tunnel: TunnelPlan, plan: Plan) -> str:
    """What anyone may request: the gateway's health needs no key."""
    return "/health" if plan.local_services[tunnel.service].checks_keys else "/"
