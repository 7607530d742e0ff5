"""The health monitor of a stack: one container that watches every service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components.config.field_types import MEBIBYTE
from components.config.monitor import MonitorSettings
from components.config.named_secrets import SECRETS_DIRECTORY
from components.config.names import LISTS_SUFFIX, MONITOR, RESTARTER
from components.kinds.service import LocalService
from components.plan.plan import Plan
from components.plan.tunnels import NamedTunnel
from components.runtime.container import HardenedContainerArgs, Mount
from components.runtime.orchestrator import (
    CONFIG_DIRECTORY,
    FilesArgs,
    Orchestrator,
    VolumeArgs,
    WatchedFilesArgs,
    list_location,
)
from components.services.deployment import Deployment
from components.services.public_checks import public_checks, public_name
from components.services.restarter import PORT as RESTARTER_PORT
from components.services.restarter import TOKEN_FILE, Restarter
from components.tunnel.tunnel import START_TIMEOUT as TUNNEL_START_TIMEOUT
from components.tunnel.tunnel import connector_url

PORT = 8090
# Seconds until the monitor itself must be healthy.
START_TIMEOUT = 120
SERVICE_LIST = "services.json"
# Where the program keeps its history, so that a restart of its own loses nothing.
STATE_DIRECTORY = "/var/lib/monitor"
HEARTBEAT_FILE = "heartbeat"


@dataclass(frozen=True)
class MonitorArgs:
    """What to watch, and where."""

    stack: str
    config: str
    """Content of monitor.json."""
    services: str
    """Content of services.json: what to watch."""
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    host_port: int | None
    orchestrator: Orchestrator
    restarter: Restarter | None
    """Restarts what stays unhealthy; without one the monitor only reports it."""
    webhooks: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Secret files: the URLs that alerts and heartbeats are sent to."""
    environment: Mapping[str, str] = field(default_factory=dict)
    config_files: Mapping[str, str] = field(default_factory=dict)
    """Files beside monitor.json."""


def monitor_args(restarter: Restarter | None, deployment: Deployment) -> MonitorArgs:
    """The arguments for the monitor of a stack."""
    plan = deployment.plan
    return MonitorArgs(
        stack=plan.stack,
        config=monitor_config(plan),
        services=monitored_services(plan),
        image=deployment.images[MONITOR],
        network=deployment.network.reference,
        host_port=plan.host_port(MONITOR),
        restarter=restarter,
        webhooks=webhook_files(plan),
        environment=monitor_environment(plan),
        config_files=plan.network_access.files,
        orchestrator=deployment.orchestrator,
    )


class Monitor(pulumi.ComponentResource):
    """Watches the services of a stack and reports their state; it has no Docker socket."""

    host_url: str | None
    """Address of its status on this machine, where the stack opens a port for it."""

    def __init__(
        self, name: str, args: MonitorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:Monitor", name, None, opts)
        mine = pulumi.ResourceOptions(parent=self)
        token = {TOKEN_FILE: args.restarter.token} if args.restarter else {}
        files = [
            args.orchestrator.files(
                f"{name}-{role}", FilesArgs(args.stack, MONITOR, directory, content), mine
            )
            for role, directory, content in (
                ("config", CONFIG_DIRECTORY, {"monitor.json": args.config, **args.config_files}),
                ("secrets", SECRETS_DIRECTORY, {**token, **args.webhooks}),
            )
            if content
        ]
        watched = args.orchestrator.watched_files(
            f"{name}{LISTS_SUFFIX}",
            WatchedFilesArgs(args.stack, MONITOR, {SERVICE_LIST: args.services}, args.network),
            mine,
        )
        history = args.orchestrator.volume(
            f"{name}-history", VolumeArgs(args.stack, MONITOR, kept=False), mine
        )
        args.orchestrator.run(
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
                stop_grace=20,
                environment=args.environment,
                mounts=[
                    Mount(volume=history.name, path=STATE_DIRECTORY, read_only=False),
                    *watched.mounts,
                ],
                files=files,
                port=PORT,
                host_port=args.host_port,
            ),
            START_TIMEOUT,
            opts=pulumi.ResourceOptions(parent=self, depends_on=watched.written),
        )
        self.host_url = f"http://127.0.0.1:{args.host_port}" if args.host_port else None
        self.register_outputs({"host_url": self.host_url})


def monitor_config(plan: Plan) -> str:
    """The content of monitor.json: the settings."""
    settings = plan.settings.monitor
    config = {
        "stack": plan.stack,
        "interval": settings.interval,
        **({"hosts": hosts} if (hosts := _hosts(settings)) else {}),
        "restarts": {
            "enabled": plan.restarts,
            "url": f"http://{RESTARTER}:{RESTARTER_PORT}",
            **settings.restart_policy.model_dump(exclude_unset=True),
        },
        "service_list": list_location(MONITOR, SERVICE_LIST, on_swarm=plan.on_swarm),
        **({"maintenance": windows} if (windows := _maintenance(plan)) else {}),
        **_section("chat", _chat_address(plan)),
        **_section("thresholds", settings.thresholds.model_dump(exclude_unset=True)),
        **_section("alerts", _alerts(plan)),
    }
    return json.dumps(config, indent=2, sort_keys=True)


def monitored_services(plan: Plan) -> str:
    """The content of services.json: every service with its health check."""
    checks = {
        address: {**check, **service.check_options(plan)}
        for name, service in plan.services.items()
        for address in plan.addresses(name)
        if (check := service.health_check(address))
    }
    services: list[dict[str, object]] = [
        {
            "name": address,
            **checks[address],
            **(
                {"expect": expect.model_dump(by_alias=True, exclude_unset=True)}
                if (expect := service.expect)
                else {}
            ),
            "depends_on": [
                needed
                for dependency in service.dependencies(plan)
                for needed in plan.addresses(dependency)
                if needed in checks
            ],
            "start_grace": service.start_grace,
            # Of a server elsewhere there is no container to restart.
            **({} if isinstance(service, LocalService) else {"restart": False}),
        }
        for name, service in plan.services.items()
        for address in plan.addresses(name)
        if address in checks
    ]
    services += [
        {
            "name": connector,
            "kind": "connector",
            "url": connector_url(connector),
            "depends_on": plan.addresses(tunnel.service),
            "start_grace": TUNNEL_START_TIMEOUT,
        }
        for tunnel in plan.tunnels.values()
        for connector in tunnel.connectors
    ]
    services += public_checks(plan, checks)
    return json.dumps({"services": services}, indent=2, sort_keys=True)


def _hosts(settings: MonitorSettings) -> list[str]:
    """The host names of the status page, that in the alerts' links included."""
    page_url = settings.alerts.page_url
    linked = page_url.host if page_url else None
    # An IPv6 address, in brackets, is always a name of the monitor.
    return [*settings.hosts, *([linked] if linked and not linked.startswith("[") else [])]


def _maintenance(plan: Plan) -> list[dict[str, object]]:
    """The windows, each with the names under which its services are checked."""
    return [
        window.config(tuple(found for name in window.services for found in _checked(name, plan)))
        for window in plan.settings.monitor.maintenance
    ]


def _checked(service: str, plan: Plan) -> list[str]:
    """The names under which a service is checked."""
    tunnel = plan.tunnels.get(service)
    if tunnel is None:
        return plan.addresses(service)
    public = public_name(tunnel, plan)
    return [*plan.addresses(service), *tunnel.connectors, *([public] if public else [])]


def _chat_address(plan: Plan) -> dict[str, object]:
    """Where people open the chat page, for the links to it."""
    names = [name for name, one in plan.local_services.items() if one.checks_keys]
    if not names:
        return {}
    tunnel, port = plan.tunnels.get(names[0]), plan.host_port(names[0])
    named = tunnel is not None and isinstance(tunnel.kind, NamedTunnel)
    return {
        **({"url": f"https://{tunnel.host_pattern}/"} if tunnel and named else {}),
        **({"port": port} if port else {}),
    }


def _section(name: str, content: Mapping[str, object]) -> dict[str, object]:
    """A section of monitor.json, left out where the stack sets nothing in it."""
    return {name: content} if content else {}


def monitor_environment(plan: Plan) -> dict[str, str]:
    """Variables by which alerts and heartbeats leave; checks read none of them."""
    return dict(plan.network_environment)


def webhook_files(plan: Plan) -> dict[str, pulumi.Output[str]]:
    """By name of a secret file: the URLs that alerts and heartbeats are sent to."""
    secrets = plan.secrets
    files = {_webhook_file(name): webhook.url for name, webhook in secrets.webhooks.items()}
    return files | ({HEARTBEAT_FILE: secrets.heartbeat_url} if secrets.heartbeat_url else {})


def _webhook_file(name: str) -> str:
    return f"webhook-{name}"


def _alerts(plan: Plan) -> dict[str, object]:
    """Nothing where no alert and no heartbeat can be sent."""
    if not webhook_files(plan):
        return {}
    settings = plan.settings.monitor.alerts
    alerts: dict[str, object] = {
        **settings.model_dump(mode="json", exclude_unset=True, exclude={"formats"}),
        "remind_every": settings.remind_every,
        "webhooks": [
            {
                "name": name,
                "format": webhook.format,
                "url_file": f"{SECRETS_DIRECTORY}/{_webhook_file(name)}",
            }
            for name, webhook in plan.secrets.webhooks.items()
        ],
    }
    if plan.secrets.heartbeat_url:
        alerts["heartbeat_url_file"] = f"{SECRETS_DIRECTORY}/{HEARTBEAT_FILE}"
    return alerts
