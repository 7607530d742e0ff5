"""The stack, top to bottom: plan, checks, images, network, services, tunnels, monitor."""

import pulumi

from components.config.names import MONITOR, RESTARTER
from components.images.kept_versions import KeptVersions, KeptVersionsArgs
from components.plan.loading import load_plan, refusals
from components.preflight.checks import check_engine
from components.runtime.process import prepare_process
from components.services.deployment import begin
from components.services.monitor import Monitor, monitor_args
from components.services.restarter import Restarter, restarter_args
from components.services.service_stack import service_stacks
from components.services.tunnels import access_documents, tunnels_of

prepare_process()
with refusals():
    plan = load_plan(pulumi.get_stack())
    engine = check_engine(plan)

deployment = begin(plan, engine)
tunnels = tunnels_of(deployment)
services = service_stacks(deployment, access_documents(tunnels, deployment))
for name, tunnel in tunnels.items():
    tunnel.open(services[name])
restarter = (
    Restarter(RESTARTER, restarter_args(engine.restarter_socket, deployment))
    if engine.restarter_socket
    else None
)
monitor = Monitor(MONITOR, monitor_args(restarter, deployment))
if plan.settings.keep_versions:
    parts = [*services.values(), *tunnels.values(), monitor, *([restarter] if restarter else [])]
    KeptVersions(
        "versions",
        KeptVersionsArgs(plan.stack, deployment.images, plan.settings.keep_versions, engine.host),
        pulumi.ResourceOptions(depends_on=parts),
    )

pulumi.export("network", deployment.network.network_name)
pulumi.export("urls", {name: service.host_url for name, service in services.items()})
pulumi.export("publicUrls", {name: tunnel.url for name, tunnel in tunnels.items()})
pulumi.export("machineTokens", {name: tunnel.machine_token for name, tunnel in tunnels.items()})
pulumi.export("accessAudiences", {name: tunnel.audience for name, tunnel in tunnels.items()})
pulumi.export("containers", {name: service.container_name for name, service in services.items()})
pulumi.export("monitorUrl", monitor.host_url)
