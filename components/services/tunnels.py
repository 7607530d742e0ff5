"""The tunnels of a stack, and what the gateway receives of their Access policies."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.config.names import CONNECTOR
from components.plan.tunnels import TunnelPlan
from components.services.deployment import Deployment
from components.tunnel.identities import GatewayAccess
from components.tunnel.tunnel import Tunnel, TunnelArgs


def tunnels_of(deployment: Deployment) -> dict[str, Tunnel]:
    """The tunnels of a stack, which are not open yet, by service."""
    return {
        name: Tunnel(f"{name}-tunnel", _tunnel_args(plan, deployment))
        for name, plan in deployment.plan.tunnels.items()
    }


def access_documents(
    tunnels: Mapping[str, Tunnel], deployment: Deployment
) -> dict[str, pulumi.Output[str]]:
    """The content of access.json for each gateway behind an Access policy of the stack."""
    access = deployment.plan.settings.gateway.access
    if access is None:
        return {}
    settings = GatewayAccess(access.team, access.audiences)
    return {
        name: settings.document(tunnel.account_id, audience)
        for name, tunnel in deployment.plan.services_behind_access.items()
        if (audience := tunnels[name].audience) is not None
    }


def _tunnel_args(plan: TunnelPlan, deployment: Deployment) -> TunnelArgs:
    """The arguments for one tunnel of a stack."""
    stack = deployment.plan
    port = stack.local_services[plan.service].port
    assert port is not None, "a service with a tunnel has a port"
    return TunnelArgs(
        stack=stack.stack,
        plan=plan,
        origin=f"http://{plan.service}:{port}",
        image=deployment.published_images[stack.connector_image]
        if stack.connector_image
        else deployment.images[CONNECTOR],
        network=deployment.network.reference,
        protect=stack.protect,
        orchestrator=deployment.orchestrator,
    )
