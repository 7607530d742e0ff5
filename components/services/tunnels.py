"""The arguments of the tunnels of a stack."""

from __future__ import annotations

from components.config.names import CONNECTOR
from components.plan.tunnels import TunnelPlan
from components.services.deployment import Deployment
from components.tunnel.tunnel import TunnelArgs


def tunnel_args(plan: TunnelPlan, origin: str, deployment: Deployment) -> TunnelArgs:
    """The arguments for one tunnel of a stack."""
    stack = deployment.plan
    return TunnelArgs(
        stack=stack.stack,
        plan=plan,
        origin=origin,
        image=stack.settings.tunnel.image or deployment.images[CONNECTOR],
        network=deployment.network.reference,
        protect=stack.protect,
        orchestrator=deployment.orchestrator,
    )
