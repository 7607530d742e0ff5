"""The arguments of the tunnels of a stack."""

from __future__ import annotations

from components.config.names import CONNECTOR
from components.plan.tunnels import TunnelPlan
from components.services.deployment import Deployment
from components.services.service_stack import ServiceStack
from components.tunnel.tunnel import TunnelArgs


def tunnel_args(plan: TunnelPlan, origin: ServiceStack, deployment: Deployment) -> TunnelArgs:
    """The arguments for one tunnel of a stack."""
    stack = deployment.plan
    assert origin.url is not None, "a service with a tunnel has a port"
    return TunnelArgs(
        stack=stack.stack,
        plan=plan,
        origin=origin.url,
        image=stack.settings.tunnel.image or deployment.images[CONNECTOR],
        network=deployment.network.reference,
        protect=stack.protect,
        orchestrator=deployment.orchestrator,
    )
