"""The stack, top to bottom: settings, images, network, services, tunnels, monitor."""

import atexit
import gc
import signal
from pathlib import Path

import pulumi

from components.config.catalogue import load_catalog
from components.runtime.docker.orchestrator import DockerOrchestrator
from components.engine.info import ask_engine
from components.images.image import ServiceImage, image_args
from components.images.kept_versions import KeptVersions, KeptVersionsArgs
from components.services.monitor import Monitor, MonitorArgs, alert_addresses, monitor_config, monitor_environment
from components.runtime.operation_timeout import limit_operations
from components.config.orchestrator import SwarmSettings
from components.plan.plan import CARRIER, CONNECTOR, MONITOR, RESTARTER, make_plan
from components.preflight.checks import ensure_the_engine_can_run
from components.images.registry import in_registry
from components.services.restarter import Restarter, RestarterArgs, restarter_socket
from components.config.schema import SettingsError
from components.services.service_stack import ServiceStack, ServiceStackArgs
from components.config.stack_settings import load_settings
from components.runtime.swarm.orchestrator import SwarmOrchestrator
from components.tunnel.tunnel import Tunnel, TunnelArgs
from components.kinds.workload import workload

# When a resource fails, the engine interrupts this program, which has nothing to add to that.
signal.signal(signal.SIGINT, signal.SIG_DFL)
# All that is declared lives to the end: there is nothing to collect, only to search, even then.
gc.disable()
atexit.register(gc.freeze)

stack = pulumi.get_stack()
docker_host = pulumi.Config("docker").get("host")
try:
    plan = make_plan(stack, *load_settings(stack), load_catalog(Path("services.yaml")))
    info = ask_engine(docker_host)
    socket = restarter_socket(plan, docker_host, info)
    registry = in_registry(plan.settings.registry, plan.secrets.registry_password)
    workloads = {name: workload(service, plan) for name, service in plan.services.items()}
    used = {*plan.own_images, *(work.image for work in workloads.values())}
    ensure_the_engine_can_run(plan, used, docker_host, info)
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None

limit_operations(plan.settings.operation_timeout)
images = {
    image: ServiceImage(image, image_args(image, stack, plan.settings), registry)
    for image in sorted(used)
}
orchestrator = (
    SwarmOrchestrator(plan.settings.swarm or SwarmSettings(), registry, docker_host)
    if plan.on_swarm
    else DockerOrchestrator(images[CARRIER].reference, docker_host)
)
network = orchestrator.network("llm-network", stack, plan.services_subnet)

services = {
    name: ServiceStack(
        name,
        ServiceStackArgs(
            stack=stack,
            service=service,
            workload=workloads[name],
            image=images[workloads[name].image].reference,
            network=network.reference,
            host_port=plan.host_port(name),
            replicas=plan.replicas(name),
            recreate=plan.recreates(name),
            protect=plan.protect,
            orchestrator=orchestrator,
        ),
    )
    for name, service in plan.services.items()
}
tunnels = {
    name: Tunnel(
        f"{name}-tunnel",
        TunnelArgs(
            stack=stack,
            plan=tunnel,
            origin=services[name].url,
            image=plan.settings.tunnel.image or images[CONNECTOR].reference,
            network=network.reference,
            protect=plan.protect,
            orchestrator=orchestrator,
        ),
        opts=pulumi.ResourceOptions(depends_on=[services[name]]),
    )
    for name, tunnel in plan.tunnels.items()
}
restarter = (
    Restarter(
        RESTARTER,
        RestarterArgs(
            stack=stack,
            services=plan.restartable,
            socket=socket,
            image=images[RESTARTER].reference,
            orchestrator=orchestrator,
            subnet=plan.restarter_subnet,
        ),
    )
    if socket
    else None
)
monitor = Monitor(
    MONITOR,
    MonitorArgs(
        stack=stack,
        config=monitor_config(plan),
        image=images[MONITOR].reference,
        network=network.reference,
        host_port=plan.host_port(MONITOR),
        restarter=restarter,
        addresses=alert_addresses(plan),
        environment=monitor_environment(plan),
        config_files=plan.network_access.files,
        orchestrator=orchestrator,
    ),
)
if plan.settings.keep_versions:
    KeptVersions(
        "versions",
        KeptVersionsArgs(
            stack=stack,
            images={name: image.reference for name, image in images.items()},
            keep=plan.settings.keep_versions,
            docker_host=docker_host,
        ),
        opts=pulumi.ResourceOptions(
            depends_on=[*services.values(), *tunnels.values(), monitor]
            + ([restarter] if restarter else [])
        ),
    )

pulumi.export("network", network.network_name)
pulumi.export("urls", {name: service.host_url for name, service in services.items()})
pulumi.export("publicUrls", {name: tunnel.url for name, tunnel in tunnels.items()})
pulumi.export("machineTokens", {name: tunnel.machine_token for name, tunnel in tunnels.items()})
pulumi.export("containers", {name: service.container_name for name, service in services.items()})
pulumi.export("monitorUrl", monitor.host_url)
