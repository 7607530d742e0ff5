"""The health monitor of a stack: one container that watches every service."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from .catalog import MEBIBYTE, AnyService, ChatService, ContainerService
from .container import HardenedContainerArgs, Mount, hardened_container
from .health_gate import HealthGate, HealthGateArgs
from .labels import service_label, stack_label
from .mounted_files import CONFIG_DIRECTORY, SECRETS_DIRECTORY, MountedFiles, MountedFilesArgs
from .plan import MONITOR, RESTARTER, Plan
from .restarter import PORT as RESTARTER_PORT
from .restarter import TOKEN_FILE, Restarter
from .tunnel import START_TIMEOUT as TUNNEL_START_TIMEOUT
from .tunnel import connector_url

PORT = 8090
# Seconds until the monitor itself must be healthy.
START_TIMEOUT = 120
# Where the program keeps what it has seen, so that a restart of its own loses nothing.
STATE_DIRECTORY = "/var/lib/monitor"


@dataclass(frozen=True)
class MonitorArgs:
    """What to watch, and where."""

    stack: str
    config: str
    """Content of monitor.json."""
    image: pulumi.Input[str]
    carrier_image: pulumi.Input[str]
    network: pulumi.Input[str]
    host_port: int | None
    restarter: Restarter | None
    """Who restarts what stays unhealthy; without one the monitor only tells."""
    docker_host: str | None = None


class Monitor(pulumi.ComponentResource):
    """Watches the services of a stack and tells their state; it holds no Docker socket."""

    host_url: str | None
    """Address of its status on this machine, where the stack opens a port for it."""

    def __init__(
        self, name: str, args: MonitorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:Monitor", name, None, opts)
        mine = pulumi.ResourceOptions(parent=self)
        secrets = {TOKEN_FILE: args.restarter.token} if args.restarter else {}
        files = [
            MountedFiles(
                f"{name}-{role}",
                MountedFilesArgs(
                    stack=args.stack,
                    service=MONITOR,
                    carrier_image=args.carrier_image,
                    directory=directory,
                    files=content,
                ),
                mine,
            )
            for role, directory, content in (
                ("config", CONFIG_DIRECTORY, {"monitor.json": args.config}),
                ("secrets", SECRETS_DIRECTORY, secrets),
            )
            if content
        ]
        history = docker.Volume(
            f"{name}-history",
            labels=[
                docker.VolumeLabelArgs(**stack_label(args.stack)),
                docker.VolumeLabelArgs(**service_label(MONITOR)),
            ],
            opts=mine,
        )
        container = hardened_container(
            name,
            HardenedContainerArgs(
                stack=args.stack,
                service=MONITOR,
                image=args.image,
                networks=[
                    args.network,
                    *([args.restarter.network_name] if args.restarter else []),
                ],
                memory=128 * MEBIBYTE,
                cpus=0.5,
                stop_grace=10,
                mounts=[
                    *(mounted.mount for mounted in files),
                    Mount(volume=history.name, path=STATE_DIRECTORY, read_only=False),
                ],
                files_version=pulumi.Output.all(*(m.version for m in files)).apply(",".join),
                port=PORT,
                host_port=args.host_port,
            ),
            opts=mine,
        )
        HealthGate(
            f"{name}-gate",
            HealthGateArgs(
                container_id=container.id, timeout=START_TIMEOUT, docker_host=args.docker_host
            ),
            mine,
        )
        self.host_url = f"http://127.0.0.1:{args.host_port}" if args.host_port else None
        self.register_outputs({"host_url": self.host_url})


def monitor_config(plan: Plan) -> str:
    """What the monitor is told of every service: address, kind, grace, what it depends on."""
    models = list(plan.inference_services)
    services = [
        {
            "name": name,
            **_question(name, service),
            # A chat whose models are down is not at fault, and restarting it helps nobody.
            "depends_on": models if isinstance(service, ChatService) else [],
            "start_grace": service.start_timeout,
        }
        for name, service in plan.services.items()
    ]
    services += [
        {
            "name": connector,
            "kind": "connector",
            "url": connector_url(connector),
            "depends_on": [tunnel.service],
            "start_grace": TUNNEL_START_TIMEOUT,
        }
        for tunnel in plan.tunnels.values()
        for connector in tunnel.connectors
    ]
    config = {
        "stack": plan.stack,
        "interval": plan.settings.monitor.interval,
        "restarts": {
            "enabled": plan.settings.monitor.restarts,
            "url": f"http://{RESTARTER}:{RESTARTER_PORT}",
        },
        "services": services,
    }
    return json.dumps(config, indent=2, sort_keys=True)


def _question(name: str, service: AnyService) -> dict[str, str]:
    """What the monitor asks of a service, and where."""
    address = f"{name}:{service.port}"
    if not isinstance(service, ContainerService):
        return {"kind": service.kind, "url": f"http://{address}"}
    if service.health == "tcp":
        return {"kind": "tcp", "url": f"tcp://{address}"}
    return {"kind": "http", "url": f"http://{address}{service.health}"}
